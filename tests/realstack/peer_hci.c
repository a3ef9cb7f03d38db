/* SPDX-License-Identifier: MIT */
/*
 * The board's controller, spoken to over btvirt's socket in the H4 format.
 *
 * btvirt reports an advertiser only when advertising is switched on, or when a scan begins; so the
 * main loop switches it off and on, as if each time were one advertisement. Nor does it tell this
 * side when the other controller is reset or pulled out, which a real one notices when nothing
 * comes any more; so the link is probed.
 *
 * And it has both ends of a link name it by the handle of only one of them. That goes well as long
 * as these are the same, so the second board on the air has to have its first handle taken.
 */
#include "peer.h"

#include <bluetooth/bluetooth.h>
#include <bluetooth/hci.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    SUPERVISION_REASON = 0x08, /* connection time-out */
    ACL_HANDLE_MASK = 0x0FFF,
    L2CAP_HEADER = 4,
    CHANNEL_ATT = 4,
};

static void write_packet(struct peer *peer, const uint8_t *packet, size_t length)
{
    /* One packet a write: btvirt takes them apart more soundly than streams. */
    while (send(peer->controller, packet, length, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) {
            peer_fail("btvirt has gone");
        }
    }
}

static void command(struct peer *peer, uint16_t group, uint16_t code, const void *parameters,
                    size_t length)
{
    uint16_t opcode = (uint16_t)(group << 10 | code);
    uint8_t packet[64] = {HCI_COMMAND_PKT, (uint8_t)(opcode & 0xFF), (uint8_t)(opcode >> 8),
                          (uint8_t)length};

    if (length > 0) {
        memcpy(packet + 4, parameters, length);
    }
    write_packet(peer, packet, length + 4);
}

void hci_send(struct peer *peer, const uint8_t *pdu, size_t length)
{
    uint8_t packet[5 + L2CAP_HEADER + PEER_PDU_MAX];
    size_t size = L2CAP_HEADER + length;

    if (!peer->linked || peer->unreachable || length > PEER_PDU_MAX) {
        return;
    }
    packet[0] = HCI_ACLDATA_PKT;
    packet[1] = (uint8_t)(peer->handle & 0xFF);
    packet[2] = (uint8_t)(peer->handle >> 8); /* flags 0: the first fragment */
    packet[3] = (uint8_t)size;
    packet[4] = 0;
    packet[5] = (uint8_t)length;
    packet[6] = 0;
    packet[7] = CHANNEL_ATT;
    packet[8] = 0;
    memcpy(packet + 9, pdu, length);
    write_packet(peer, packet, 5 + size);
}

void hci_advertise(struct peer *peer, bool on)
{
    uint8_t enable = on;

    if (peer->on_air != on) {
        peer->on_air = on;
        command(peer, OGF_LE_CTL, OCF_LE_SET_ADVERTISE_ENABLE, &enable, 1);
    }
}

void hci_disconnect(struct peer *peer, uint8_t reason)
{
    uint8_t parameters[] = {(uint8_t)(peer->handle & 0xFF), (uint8_t)(peer->handle >> 8), reason};

    if (peer->linked) {
        command(peer, OGF_LINK_CTL, OCF_DISCONNECT, parameters, sizeof parameters);
    }
}

void hci_probe(struct peer *peer)
{
    uint8_t parameters[] = {(uint8_t)(peer->handle & 0xFF), (uint8_t)(peer->handle >> 8)};

    command(peer, OGF_LE_CTL, OCF_LE_READ_REMOTE_USED_FEATURES, parameters, sizeof parameters);
}

/* Flags, the board's service, and its name where there is room for one. */
static void set_advertisement(struct peer *peer, const char *name)
{
    uint8_t advertisement[32] = {0};
    uint8_t response[32] = {0};
    uint8_t parameters[15] = {0};
    const uint8_t content[] = {2, 0x01, 0x06, 3, 0x03, 0x00, 0xFF};
    size_t length = strlen(name) > 29 ? 29 : strlen(name);

    advertisement[0] = sizeof content;
    memcpy(advertisement + 1, content, sizeof content);
    if (peer->module != 0xFF) {
        advertisement[6] = 0xF0;
    }
    response[0] = (uint8_t)(length + 2);
    response[1] = (uint8_t)(length + 1);
    response[2] = 0x09; /* complete local name */
    memcpy(response + 3, name, length);
    parameters[1] = parameters[3] = 8; /* 1.28 s, high bytes first in neither: 0x0800 */
    parameters[13] = 7;                /* all channels */
    command(peer, OGF_LE_CTL, OCF_LE_SET_ADVERTISING_PARAMETERS, parameters, sizeof parameters);
    command(peer, OGF_LE_CTL, OCF_LE_SET_ADVERTISING_DATA, advertisement, sizeof advertisement);
    command(peer, OGF_LE_CTL, OCF_LE_SET_SCAN_RESPONSE_DATA, response, sizeof response);
}

static void on_command_complete(struct peer *peer, const uint8_t *data, size_t length)
{
    uint16_t opcode;

    if (length < 4) {
        return;
    }
    opcode = (uint16_t)(data[1] | data[2] << 8);
    if (opcode == (OGF_INFO_PARAM << 10 | OCF_READ_BD_ADDR) && length >= 10) {
        memcpy(peer->address, data + 4, 6);
    }
}

static void on_command_status(struct peer *peer, const uint8_t *data, size_t length)
{
    if (length < 4) {
        return;
    }
    if ((data[2] | data[3] << 8) == (OGF_LE_CTL << 10 | OCF_LE_READ_REMOTE_USED_FEATURES) &&
        data[0] == HCI_NO_CONNECTION && peer->linked) {
        peer_link_down(peer, SUPERVISION_REASON);
    }
}

static void on_event(struct peer *peer, uint8_t event, const uint8_t *data, size_t length)
{
    switch (event) {
    case EVT_CMD_COMPLETE:
        on_command_complete(peer, data, length);
        break;
    case EVT_CMD_STATUS:
        on_command_status(peer, data, length);
        break;
    case EVT_DISCONN_COMPLETE:
        if (length >= 4 && data[0] == 0 && peer->linked) {
            peer_link_down(peer, data[3]);
        }
        break;
    case EVT_LE_META_EVENT:
        if (length >= 5 && data[0] == EVT_LE_CONN_COMPLETE && data[1] == 0) {
            peer->on_air = false; /* advertising ends by itself */
            if (data[4] == 0) {
                peer->occupied++; /* our own link, of hci_occupy() */
                break;
            }
            peer_link_up(peer, (uint16_t)((data[2] | data[3] << 8) & ACL_HANDLE_MASK));
        }
        break;
    default:
        break;
    }
}

static void on_acl(struct peer *peer, const uint8_t *data, size_t length)
{
    size_t size;

    if (length < L2CAP_HEADER || !peer->linked) {
        return;
    }
    size = (size_t)(data[0] | data[1] << 8);
    /* What a board is sent fits into one packet; whatever does not is no concern of a board. */
    if (size <= length - L2CAP_HEADER) {
        att_packet(peer, (uint16_t)(data[2] | data[3] << 8), data + L2CAP_HEADER, size);
    }
}

/* @return the bytes that the packet at the beginning of the input has, or 0 if it is incomplete */
static size_t packet_size(const uint8_t *input, size_t used)
{
    size_t head = 0, size = 0;

    if (used == 0) {
        return 0;
    }
    if (input[0] == HCI_EVENT_PKT && used >= 3) {
        head = 3;
        size = input[2];
    } else if (input[0] == HCI_ACLDATA_PKT && used >= 5) {
        head = 5;
        size = (size_t)(input[3] | input[4] << 8);
    } else if (input[0] != HCI_EVENT_PKT && input[0] != HCI_ACLDATA_PKT) {
        peer_fail("btvirt sends nonsense");
    }
    if (head + size > PEER_INPUT_MAX) {
        peer_fail("btvirt sends too much");
    }
    return head > 0 && used >= head + size ? head + size : 0;
}

void hci_read(struct peer *peer)
{
    ssize_t got = read(peer->controller, peer->input + peer->input_used,
                       sizeof peer->input - peer->input_used);
    size_t done = 0, size;

    if (got < 0 && errno == EINTR) {
        return;
    }
    if (got <= 0) {
        peer_fail("btvirt has gone");
    }
    peer->input_used += (size_t)got;
    while ((size = packet_size(peer->input + done, peer->input_used - done)) > 0) {
        const uint8_t *packet = peer->input + done;

        if (packet[0] == HCI_EVENT_PKT) {
            on_event(peer, packet[1], packet + 3, size - 3);
        } else {
            on_acl(peer, packet + 5, size - 5);
        }
        done += size;
    }
    peer->input_used -= done;
    memmove(peer->input, peer->input + done, peer->input_used);
}

static int connect_to_air(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int air = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof address.sun_path) {
        peer_fail("the socket's path is too long");
    }
    strcpy(address.sun_path, path);
    if (air < 0 || connect(air, (const struct sockaddr *)&address, sizeof address) < 0) {
        peer_fail("btvirt cannot be reached");
    }
    return air;
}

static void set_up(struct peer *peer, const char *path, const char *name)
{
    static const uint8_t all_events[8] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F};
    static const uint8_t nobody[6];

    peer->controller = connect_to_air(path);
    command(peer, OGF_HOST_CTL, OCF_RESET, NULL, 0);
    command(peer, OGF_HOST_CTL, OCF_SET_EVENT_MASK, all_events, sizeof all_events);
    command(peer, OGF_LE_CTL, OCF_LE_SET_EVENT_MASK, all_events, sizeof all_events);
    set_advertisement(peer, name);
    command(peer, OGF_INFO_PARAM, OCF_READ_BD_ADDR, NULL, 0);
    while (memcmp(peer->address, nobody, sizeof nobody) == 0) {
        hci_read(peer);
    }
}

/* Takes a link handle with a link to a dummy that does nothing else. */
static void occupy(struct peer *peer, const char *path)
{
    /* Scan and connection parameters as the kernel's; the peer's address is at offset 6. */
    uint8_t parameters[25] = {0x60, 0, 0x60, 0, 0, 0, [13] = 24, 0, 40, 0, 0, 0, 42, 0};
    static struct peer dummy; /* its socket stays open */
    unsigned before = peer->occupied;

    memset(&dummy, 0, sizeof dummy);
    set_up(&dummy, path, "dummy");
    hci_advertise(&dummy, true);
    memcpy(parameters + 6, dummy.address, 6);
    command(peer, OGF_LE_CTL, OCF_LE_CREATE_CONN, parameters, sizeof parameters);
    while (peer->occupied == before) {
        hci_read(peer);
    }
}

void hci_open(struct peer *peer, const char *path, const char *name, unsigned handles)
{
    set_up(peer, path, name);
    for (unsigned i = 0; i < handles; i++) {
        occupy(peer, path);
    }
}

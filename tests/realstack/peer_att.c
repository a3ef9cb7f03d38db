/* SPDX-License-Identifier: MIT */
/*
 * The Attribute Protocol as a small module speaks it: 23 bytes a packet, 16-bit UUIDs, one request
 * at a time, nothing optional.
 */
#include "peer.h"

#include <string.h>

enum {
    CHANNEL_ATT = 4,
};

enum {
    ATT_ERROR = 0x01,
    ATT_MTU = 0x02,
    ATT_FIND_INFORMATION = 0x04,
    ATT_FIND_BY_VALUE = 0x06,
    ATT_READ_BY_TYPE = 0x08,
    ATT_READ = 0x0A,
    ATT_READ_BLOB = 0x0C,
    ATT_READ_BY_GROUP = 0x10,
    ATT_WRITE = 0x12,
    ATT_NOTIFICATION = 0x1B,
    ATT_INDICATION = 0x1D,
    ATT_CONFIRMATION = 0x1E,
    ATT_COMMAND = 0x40, /* a flag: not to be answered */
    ATT_WRITE_COMMAND = 0x52,
};

enum {
    ERROR_HANDLE = 0x01,
    ERROR_READ = 0x02,
    ERROR_WRITE = 0x03,
    ERROR_PDU = 0x04,
    ERROR_UNSUPPORTED = 0x06,
    ERROR_OFFSET = 0x07,
    ERROR_NOT_FOUND = 0x0A,
    ERROR_GROUP = 0x10,
};

static uint16_t get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static void put16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value & 0xFF);
    bytes[1] = (uint8_t)(value >> 8);
}

static void send_error(struct peer *peer, uint8_t opcode, uint16_t handle, uint8_t code)
{
    uint8_t pdu[5] = {ATT_ERROR, opcode, 0, 0, code};

    put16(pdu + 2, handle);
    hci_send(peer, pdu, sizeof pdu);
}

/* The parts that all searches have. */
struct search {
    uint8_t opcode;
    uint16_t first, last; /* handles */
    const uint8_t *rest;  /* of the request */
    size_t rest_length;
};

/* Find Information: handles and their types. */
static size_t list_information(struct peer *peer, const struct search *search, uint8_t *pdu)
{
    size_t used = 2;

    pdu[1] = 1; /* 16-bit UUIDs */
    for (size_t i = 0; i < peer->attributes; i++) {
        const struct attribute *a = &peer->attribute[i];

        if (a->handle >= search->first && a->handle <= search->last && used + 4 <= PEER_PDU_MAX) {
            put16(pdu + used, a->handle);
            put16(pdu + used + 2, a->type);
            used += 4;
        }
    }
    return used > 2 ? used : 0;
}

/* Find By Type Value: services with a UUID. */
static size_t list_by_value(struct peer *peer, const struct search *search, uint8_t *pdu)
{
    size_t used = 1;

    if (search->rest_length < 2) {
        return 0;
    }
    for (size_t i = 0; i < peer->attributes; i++) {
        const struct attribute *a = &peer->attribute[i];

        if (a->handle < search->first || a->handle > search->last || a->type != GATT_PRIMARY ||
            get16(search->rest) != GATT_PRIMARY || a->length != search->rest_length - 2 ||
            memcmp(a->value, search->rest + 2, a->length) != 0 || used + 4 > PEER_PDU_MAX) {
            continue;
        }
        put16(pdu + used, a->handle);
        put16(pdu + used + 2, gatt_service_end(peer, i));
        used += 4;
    }
    return used > 1 ? used : 0;
}

/* Read By Type and Read By Group Type: attributes of one type with their values, of one length. */
static size_t list_by_type(struct peer *peer, const struct search *search, uint8_t *pdu)
{
    size_t head = search->opcode == ATT_READ_BY_GROUP ? 4 : 2;
    size_t used = 2;

    if (search->rest_length != 2) {
        return 0; /* a 128-bit UUID: there are none */
    }
    for (size_t i = 0; i < peer->attributes; i++) {
        const struct attribute *a = &peer->attribute[i];
        size_t length = a->length > PEER_PDU_MAX - 2 - head ? PEER_PDU_MAX - 2 - head : a->length;

        if (a->handle < search->first || a->handle > search->last || !a->readable ||
            a->type != get16(search->rest)) {
            continue;
        }
        if (used + head + length > PEER_PDU_MAX || (used > 2 && pdu[1] != head + length)) {
            break;
        }
        pdu[1] = (uint8_t)(head + length);
        put16(pdu + used, a->handle);
        if (head == 4) {
            put16(pdu + used + 2, gatt_service_end(peer, i));
        }
        memcpy(pdu + used + head, a->value, length);
        used += head + length;
    }
    return used > 2 ? used : 0;
}

static void find(struct peer *peer, const uint8_t *request, size_t length)
{
    struct search search = {request[0], 0, 0, NULL, 0};
    uint8_t pdu[PEER_PDU_MAX] = {(uint8_t)(request[0] + 1)};
    size_t size = 0;

    if (length < 5) {
        send_error(peer, request[0], 0, ERROR_PDU);
        return;
    }
    search.first = get16(request + 1);
    search.last = get16(request + 3);
    search.rest = request + 5;
    search.rest_length = length - 5;
    if (search.first == 0 || search.first > search.last) {
        send_error(peer, request[0], search.first, ERROR_HANDLE);
        return;
    }
    switch (request[0]) {
    case ATT_FIND_INFORMATION:
        size = list_information(peer, &search, pdu);
        break;
    case ATT_FIND_BY_VALUE:
        size = list_by_value(peer, &search, pdu);
        break;
    case ATT_READ_BY_GROUP:
        if (length == 7 && get16(search.rest) != GATT_PRIMARY) {
            /* Included and secondary services do not exist. */
            send_error(peer, request[0], search.first, ERROR_GROUP);
            return;
        }
        size = list_by_type(peer, &search, pdu);
        break;
    default:
        size = list_by_type(peer, &search, pdu);
        break;
    }
    if (size > 0) {
        hci_send(peer, pdu, size);
    } else {
        send_error(peer, request[0], search.first, ERROR_NOT_FOUND);
    }
}

static void read_value(struct peer *peer, const uint8_t *request, size_t length)
{
    bool blob = request[0] == ATT_READ_BLOB;
    uint8_t pdu[PEER_PDU_MAX] = {(uint8_t)(request[0] + 1)};
    const struct attribute *attribute;
    size_t offset = 0;
    uint16_t handle;

    if (length != (blob ? 5U : 3U)) {
        send_error(peer, request[0], 0, ERROR_PDU);
        return;
    }
    handle = get16(request + 1);
    attribute = gatt_find(peer, handle);
    if (blob) {
        offset = get16(request + 3);
    }
    if (attribute == NULL || !attribute->readable) {
        send_error(peer, request[0], handle, attribute == NULL ? ERROR_HANDLE : ERROR_READ);
    } else if (offset > attribute->length) {
        send_error(peer, request[0], handle, ERROR_OFFSET);
    } else {
        memcpy(pdu + 1, attribute->value + offset, attribute->length - offset);
        hci_send(peer, pdu, 1 + attribute->length - offset);
    }
}

static void write_ccc(struct peer *peer, struct attribute *attribute, const uint8_t *value)
{
    memcpy(attribute->value, value, 2);
    if (attribute->handle == gatt_changed_handle() + 1) {
        peer->changes_wanted = (value[0] & 2) != 0;
    } else {
        peer_subscribe(peer, (value[0] & 1) != 0);
    }
}

static void write_value(struct peer *peer, const uint8_t *request, size_t length)
{
    static const uint8_t answer = ATT_WRITE + 1;
    bool wants_answer = request[0] == ATT_WRITE;
    struct attribute *attribute;
    uint16_t handle;
    uint8_t error = 0;

    if (length < 3) {
        return;
    }
    handle = get16(request + 1);
    attribute = gatt_find(peer, handle);
    if (attribute == NULL) {
        error = ERROR_HANDLE;
    } else if (attribute->type == GATT_CCC && length == 5) {
        write_ccc(peer, attribute, request + 3);
    } else if (handle != gatt_write_handle(peer)) {
        error = ERROR_WRITE;
    }
    if (wants_answer && error != 0) {
        send_error(peer, request[0], handle, error);
    } else if (wants_answer) {
        hci_send(peer, &answer, 1);
    }
    /* After the answer, as modules do: the board's own comes later anyhow. */
    if (error == 0 && handle == gatt_write_handle(peer)) {
        peer_request(peer, request + 3, length - 3);
    }
}

static void att_request(struct peer *peer, const uint8_t *pdu, size_t length)
{
    static const uint8_t mtu[] = {ATT_MTU + 1, PEER_PDU_MAX, 0};

    switch (pdu[0]) {
    case ATT_MTU:
        hci_send(peer, mtu, sizeof mtu);
        break;
    case ATT_FIND_INFORMATION:
    case ATT_FIND_BY_VALUE:
    case ATT_READ_BY_TYPE:
    case ATT_READ_BY_GROUP:
        find(peer, pdu, length);
        break;
    case ATT_READ:
    case ATT_READ_BLOB:
        read_value(peer, pdu, length);
        break;
    case ATT_WRITE:
    case ATT_WRITE_COMMAND:
        write_value(peer, pdu, length);
        break;
    case ATT_CONFIRMATION:
        break;
    default:
        if ((pdu[0] & ATT_COMMAND) == 0) {
            send_error(peer, pdu[0], 0, ERROR_UNSUPPORTED);
        }
        break;
    }
}

void att_packet(struct peer *peer, uint16_t channel, const uint8_t *bytes, size_t length)
{
    /* Pairing and connection parameters: a board has no such thing. */
    if (length == 0 || peer->deaf || peer->unreachable || channel != CHANNEL_ATT) {
        return;
    }
    if (peer->drop_att > 0 && --peer->drop_att == 0) {
        hci_disconnect(peer, 0x13);
        return;
    }
    att_request(peer, bytes, length);
}

void att_notify(struct peer *peer, const uint8_t *bytes, size_t length)
{
    uint8_t pdu[PEER_PDU_MAX] = {ATT_NOTIFICATION};
    uint16_t handle = gatt_notify_handle(peer);

    if (handle == 0 || length > sizeof pdu - 3) {
        return;
    }
    put16(pdu + 1, handle);
    memcpy(pdu + 3, bytes, length);
    hci_send(peer, pdu, length + 3);
}

void att_services_changed(struct peer *peer)
{
    uint8_t pdu[] = {ATT_INDICATION, 0, 0, 1, 0, 0xFF, 0xFF};

    if (peer->linked && peer->changes_wanted) {
        put16(pdu + 1, gatt_changed_handle());
        hci_send(peer, pdu, sizeof pdu);
    }
}

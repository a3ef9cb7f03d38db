/* SPDX-License-Identifier: MIT */
/*
 * peer SOCKET NAME N: a JBD board on the air of the btvirt that listens at SOCKET, advertising as
 * NAME; the Nth board, from 0, that a central connects to at the same time. Says "ready ADDRESS",
 * then takes commands on standard input (peer_commands.c) until its end, and leaves the air in an
 * orderly way: btvirt would keep the link of a board that just goes.
 */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ADVERTISE_EVERY 0.3
#define PROBE_EVERY     1.0

double peer_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void peer_event(const char *format, ...)
{
    va_list arguments;

    fputs("event ", stdout);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void peer_fail(const char *why)
{
    fprintf(stderr, "peer: %s\n", why);
    exit(1);
}

/* ---- timers ---------------------------------------------------------------------------------- */

void peer_start_timer(struct peer *peer, enum peer_timer timer, double seconds)
{
    peer->timer[timer] = peer_now() + seconds;
}

void peer_stop_timer(struct peer *peer, enum peer_timer timer)
{
    peer->timer[timer] = 0;
}

static void on_advertise(struct peer *peer)
{
    bool wanted = peer->advertising && !peer->unreachable;

    if (peer->linked) {
        return; /* until the link is down */
    }
    /* Back on at once: btvirt lets connecting fail while it is off, and no controller does that. */
    hci_advertise(peer, false);
    hci_advertise(peer, wanted);
    peer_start_timer(peer, TIMER_ADVERTISE, ADVERTISE_EVERY);
}

static void on_probe(struct peer *peer)
{
    if (peer->linked) {
        hci_probe(peer);
        peer_start_timer(peer, TIMER_PROBE, PROBE_EVERY);
    }
}

static void on_drop(struct peer *peer)
{
    hci_disconnect(peer, peer->drop_reason);
}

static void run_timers(struct peer *peer)
{
    static void (*const functions[TIMER_COUNT])(struct peer * peer) = {
        [TIMER_ADVERTISE] = on_advertise,
        [TIMER_PROBE] = on_probe,
        [TIMER_DROP] = on_drop,
    };

    for (size_t i = 0; i < TIMER_COUNT; i++) {
        if (peer->timer[i] > 0 && peer->timer[i] <= peer_now()) {
            peer->timer[i] = 0;
            functions[i](peer);
        }
    }
}

/* ---- notifications --------------------------------------------------------------------------- */

static void deliver(struct peer *peer, const uint8_t *bytes, size_t length, double at, uint8_t reg)
{
    struct delivery *delivery = &peer->delivery[peer->deliveries];

    if (peer->deliveries == PEER_DELIVERIES || length > sizeof delivery->bytes) {
        return; /* as when a module's buffer is full */
    }
    delivery->at = at;
    delivery->length = (uint8_t)length;
    delivery->reg = reg;
    memcpy(delivery->bytes, bytes, length);
    peer->deliveries++;
}

/* Sends what is due, the earliest first. */
static void run_deliveries(struct peer *peer)
{
    for (;;) {
        size_t first = 0;
        struct delivery now;

        for (size_t i = 1; i < peer->deliveries; i++) {
            if (peer->delivery[i].at < peer->delivery[first].at) {
                first = i;
            }
        }
        if (peer->deliveries == 0 || peer->delivery[first].at > peer_now()) {
            return;
        }
        now = peer->delivery[first];
        peer->deliveries--;
        memmove(&peer->delivery[first], &peer->delivery[first + 1],
                (peer->deliveries - first) * sizeof now);
        if (!peer->subscribed || fault_on(&peer->faults, FAULT_NOTIFY_DEAD) != NULL) {
            continue;
        }
        att_notify(peer, now.bytes, now.length);
        if (now.reg != 0) {
            peer->answers++;
            peer_event("reply %02x", now.reg);
        }
    }
}

static int time_left(const struct peer *peer)
{
    double next = peer_now() + 60;
    double left;

    for (size_t i = 0; i < TIMER_COUNT; i++) {
        if (peer->timer[i] > 0 && peer->timer[i] < next) {
            next = peer->timer[i];
        }
    }
    for (size_t i = 0; i < peer->deliveries; i++) {
        if (peer->delivery[i].at < next) {
            next = peer->delivery[i].at;
        }
    }
    left = next - peer_now();
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* ---- what befalls the board ------------------------------------------------------------------ */

void peer_link_up(struct peer *peer, uint16_t handle)
{
    const struct fault *drop = fault_on(&peer->faults, FAULT_DROP_EVERY);

    peer->linked = true;
    peer->handle = handle;
    peer->links++;
    peer_event("connected");
    board_link_up(&peer->board);
    peer_start_timer(peer, TIMER_PROBE, PROBE_EVERY);
    if (peer->refuse > 0) {
        peer->refuse--;
        hci_disconnect(peer, 0x3E); /* failed to be established */
    } else if (drop != NULL) {
        peer->drop_reason = 0x13;
        peer_start_timer(peer, TIMER_DROP, drop->seconds);
    }
}

void peer_link_down(struct peer *peer, uint8_t reason)
{
    peer->linked = false;
    peer->changes_wanted = false;
    peer->deliveries = 0;
    peer_stop_timer(peer, TIMER_PROBE);
    peer_stop_timer(peer, TIMER_DROP);
    peer_start_timer(peer, TIMER_ADVERTISE, ADVERTISE_EVERY);
    /* A board that is not bonded forgets its subscriptions with the link. */
    for (size_t i = 0; i < peer->attributes; i++) {
        if (peer->attribute[i].type == GATT_CCC) {
            memset(peer->attribute[i].value, 0, 2);
        }
    }
    if (peer->subscribed) {
        peer->subscribed = false;
        peer_event("notify off");
    }
    peer_event("disconnected %02x", reason);
}

void peer_subscribe(struct peer *peer, bool on)
{
    static const uint8_t zero;

    peer->subscribed = on;
    peer_event("notify %s", on ? "on" : "off");
    if (!on) {
        return;
    }
    board_subscribed(&peer->board);
    if (peer->board.config.stray_zero) {
        deliver(peer, &zero, 1, peer_now() + 0.02, 0);
    }
}

void peer_request(struct peer *peer, const uint8_t *bytes, size_t length)
{
    static struct board_answer answer;
    static struct board_pieces pieces;
    double now = peer_now();

    peer->requests++;
    board_request(&peer->board, now, bytes, length, &answer);
    peer_event("request %02x", answer.reg);
    if (peer->drop_request > 0 && --peer->drop_request == 0) {
        hci_disconnect(peer, 0x13);
        return;
    }
    if (answer.outcome != BOARD_ANSWERED && answer.outcome != BOARD_VIOLATION) {
        return;
    }
    faults_apply(&peer->faults, &peer->board.random, bytes, length, &answer, &pieces);
    for (size_t i = 0; i < pieces.count; i++) {
        const struct board_piece *piece = &pieces.piece[i];

        deliver(peer, pieces.bytes + piece->offset, piece->length, now + piece->delay,
                i + 1 == pieces.count ? answer.reg : 0);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static void read_commands(struct peer *peer)
{
    ssize_t got =
        read(STDIN_FILENO, peer->line + peer->line_used, sizeof peer->line - 1 - peer->line_used);
    char *end;

    if (got < 0 && errno == EINTR) {
        return;
    }
    if (got <= 0) {
        peer->ended = true;
        return;
    }
    peer->line_used += (size_t)got;
    peer->line[peer->line_used] = '\0';
    while ((end = strchr(peer->line, '\n')) != NULL) {
        *end = '\0';
        command_line(peer, peer->line);
        peer->line_used -= (size_t)(end + 1 - peer->line);
        memmove(peer->line, end + 1, peer->line_used + 1);
    }
    if (peer->line_used == sizeof peer->line - 1) {
        peer_fail("a command is too long");
    }
}

static void turn(struct peer *peer)
{
    struct pollfd wait[] = {{.fd = peer->controller, .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};

    fflush(stdout);
    if (poll(wait, peer->ended ? 1 : 2, time_left(peer)) < 0) {
        return;
    }
    if (wait[0].revents != 0) {
        hci_read(peer);
    }
    if (!peer->ended && wait[1].revents != 0) {
        read_commands(peer);
    }
    run_timers(peer);
    run_deliveries(peer);
}

int main(int argc, char **argv)
{
    static struct peer peer = {.advertising = true, .base = 0x10, .module = 0xFF};
    struct board_config config;
    double deadline;

    if (argc != 4) {
        fputs("Usage: peer SOCKET NAME N\n", stderr);
        return 2;
    }
    board_config_default(&config, 1);
    config.steady = true;
    config.tail = 9;
    config.capacity_ah = 120;
    config.soc = 0.63;
    board_init(&peer.board, &config, peer_now());
    gatt_build(&peer, argv[2]);
    hci_open(&peer, argv[1], argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    peer_start_timer(&peer, TIMER_ADVERTISE, 0);
    printf("ready %02X:%02X:%02X:%02X:%02X:%02X\n", peer.address[5], peer.address[4],
           peer.address[3], peer.address[2], peer.address[1], peer.address[0]);
    while (!peer.ended) {
        turn(&peer);
    }
    peer.advertising = false;
    hci_advertise(&peer, false);
    hci_disconnect(&peer, 0x08);
    deadline = peer_now() + 2;
    while (peer.linked && peer_now() < deadline) {
        turn(&peer);
    }
    return 0;
}

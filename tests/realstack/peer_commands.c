/* SPDX-License-Identifier: MIT */
/*
 * What the test wants of the board, one command a line, each answered by "ok" or "error TEXT":
 *
 *   advertise on|off          while there is no link
 *   drop [REASON]             ends the link for an HCI reason in hex (13: as the user wished)
 *   vanish                    out of range: neither heard nor hears; the link ends after 4 s
 *   return                    in range again
 *   deaf on|off               connects, but answers nothing on the ATT channel
 *   refuse N                  drops the next N links at once
 *   drop-request N            drops the link at the Nth request instead of answering
 *   drop-att N                the same at the Nth packet on the ATT channel
 *   services hide|show|move   takes the board's service away; brings it back, at other handles
 *   fault NAME [ARGUMENTS]    of tests/sim/README.md: of bytes, drop-every, notify-dead
 *   clear                     ends all of the above
 *   set KEY [INDEX] VALUE     a value of the board, as in tests/sim/README.md
 *   status                    "ok" and numbers, as NAME=VALUE
 */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 8

static const char *const board_name = "xiaoxiang BMS";

static bool set_service(struct peer *peer, const char *how)
{
    if (strcmp(how, "hide") == 0) {
        peer->hidden = true;
    } else if (strcmp(how, "show") == 0) {
        peer->hidden = false;
    } else if (strcmp(how, "move") == 0) {
        peer->hidden = false;
        peer->base = (uint16_t)(peer->base ^ 0x30);
    } else {
        return false;
    }
    peer->subscribed = false;
    gatt_build(peer, board_name);
    att_services_changed(peer);
    return true;
}

static void clear(struct peer *peer)
{
    faults_clear(&peer->faults);
    peer->advertising = true;
    peer->unreachable = peer->deaf = false;
    peer->refuse = peer->drop_request = peer->drop_att = 0;
    peer_stop_timer(peer, TIMER_DROP);
    if (peer->hidden) {
        set_service(peer, "show");
    }
}

static bool set_indexed(struct board_state *state, const char *key, unsigned long index,
                        double value)
{
    if (strcmp(key, "cell") == 0 && index >= 1 && index <= BOARD_MAX_CELLS) {
        state->cell_mv[index - 1] = value;
    } else if (strcmp(key, "ntc") == 0 && index >= 1 && index <= BOARD_MAX_NTCS) {
        state->ntc_dc[index - 1] = value;
    } else if (strcmp(key, "counter") == 0 && index >= 1 && index <= BOARD_COUNTERS && value >= 0 &&
               value <= 65535) {
        state->counters[index - 1] = (uint16_t)value;
    } else {
        return false;
    }
    return true;
}

static bool set_plain(struct board_state *state, const char *key, const char *text)
{
    unsigned long bits = strtoul(text, NULL, 16);
    double value = strtod(text, NULL);

    if (strcmp(key, "voltage_mv") == 0) {
        state->voltage_mv = value;
    } else if (strcmp(key, "current_ma") == 0) {
        state->current_ma = value;
    } else if (strcmp(key, "cycles") == 0) {
        state->cycles = value;
    } else if (strcmp(key, "soc") == 0) {
        state->soc = value / 100;
    } else if (strcmp(key, "humidity") == 0) {
        state->humidity = (uint8_t)value;
    } else if (strcmp(key, "balance") == 0) {
        state->balance = (uint32_t)bits;
    } else if (strcmp(key, "protection") == 0) {
        state->protection = (uint16_t)bits;
    } else if (strcmp(key, "fet") == 0) {
        state->fet = (uint8_t)bits;
    } else if (strcmp(key, "alarm") == 0) {
        state->alarm = (uint16_t)bits;
    } else {
        return false;
    }
    return true;
}

static bool on_or_off(const char *text, bool *value)
{
    *value = strcmp(text, "on") == 0;
    return *value || strcmp(text, "off") == 0;
}

static void vanish(struct peer *peer)
{
    peer->unreachable = true;
    hci_advertise(peer, false);
    if (peer->linked) {
        peer->drop_reason = 0x08;
        peer_start_timer(peer, TIMER_DROP, 4);
    }
}

static bool fault(struct peer *peer, int count, char **words)
{
    enum fault_id id;

    return faults_set(&peer->faults, count, words, &id) == FAULT_SET;
}

static bool run(struct peer *peer, int count, char **words)
{
    const char *name = words[0];
    const char *argument = count > 1 ? words[1] : "";
    unsigned long number = strtoul(argument, NULL, 10);

    if (strcmp(name, "advertise") == 0) {
        return on_or_off(argument, &peer->advertising);
    }
    if (strcmp(name, "drop") == 0) {
        hci_disconnect(peer, count > 1 ? (uint8_t)strtoul(argument, NULL, 16) : 0x13);
    } else if (strcmp(name, "vanish") == 0) {
        vanish(peer);
    } else if (strcmp(name, "return") == 0) {
        peer->unreachable = false;
    } else if (strcmp(name, "deaf") == 0) {
        return on_or_off(argument, &peer->deaf);
    } else if (strcmp(name, "refuse") == 0) {
        peer->refuse = (unsigned)number;
    } else if (strcmp(name, "drop-request") == 0) {
        peer->drop_request = (unsigned)number;
    } else if (strcmp(name, "drop-att") == 0) {
        peer->drop_att = (unsigned)number;
    } else if (strcmp(name, "services") == 0) {
        return set_service(peer, argument);
    } else if (strcmp(name, "fault") == 0) {
        return count > 1 && fault(peer, count - 1, words + 1);
    } else if (strcmp(name, "clear") == 0) {
        clear(peer);
    } else if (strcmp(name, "set") == 0 && count == 3) {
        return set_plain(&peer->board.state, argument, words[2]);
    } else if (strcmp(name, "set") == 0 && count == 4) {
        return set_indexed(&peer->board.state, argument, strtoul(words[2], NULL, 10),
                           strtod(words[3], NULL));
    } else {
        return false;
    }
    return true;
}

void command_line(struct peer *peer, char *line)
{
    char *words[WORDS];
    char *rest = line;
    char *word;
    int count = 0;

    while (count < WORDS && (word = strtok_r(rest, " ", &rest)) != NULL) {
        words[count++] = word;
    }
    if (count == 1 && strcmp(words[0], "status") == 0) {
        printf("ok linked=%d subscribed=%d links=%u requests=%u answers=%u violations=%u\n",
               peer->linked, peer->subscribed, peer->links, peer->requests, peer->answers,
               peer->board.violations);
    } else if (count > 0 && run(peer, count, words)) {
        puts("ok");
    } else {
        printf("error cannot do %s\n", count > 0 ? words[0] : "nothing");
    }
}

/* SPDX-License-Identifier: MIT */
/*
 * The table of faults. Adding a fault is adding a value to LinkFault, a row here, and a line in
 * doc/METRICS.md. Nothing else in the program decides by a list of faults.
 */
#include "fault.h"

#include <string.h>

/* The pairs that most rows share. */
#define FROM_BLUEZ   .session = SESSION_BLUEZ, .command = true, .hopeless = true
#define FROM_ADAPTER .session = SESSION_ADAPTER, .command = true, .hopeless = true
/* What BlueZ remembers of the device may be what is wrong: its services, the type of its address, a
 * connection that exists on one side only. */
#define ABOUT_DEVICE .remove_from = 3
/* The controller may be stuck. */
#define ABOUT_ADAPTER .cycle = true, .command = true
/* The board says itself what is wrong, and will go on saying so. */
#define ABOUT_BOARD .tell_at = 4
/* A battery does not move, and neither does the reader help. */
#define CLOSER "move the adapter closer to the battery, or use a USB adapter on an extension cable"

static const FaultTraits faults[LINK_N_FAULTS] = {
    [LINK_FAULT_NONE] = {.name = "none", .text = "", .session = SESSION_LINK_LOSS},

    /* ---- in the way of every link ---- */
    [LINK_FAULT_BUS] = {.name = "bus",
                        .text = "no D-Bus system bus",
                        .remedy = "sudo systemctl start dbus",
                        .layer = FAULT_LAYER_BUS,
                        FROM_BLUEZ},
    [LINK_FAULT_BLUEZ] = {.name = "bluez",
                          .text = "bluetoothd is not running",
                          .remedy = "sudo systemctl start bluetooth",
                          .layer = FAULT_LAYER_BLUETOOTHD,
                          FROM_BLUEZ},
    [LINK_FAULT_HUNG] = {.name = "hung",
                         .text = "bluetoothd does not answer",
                         .remedy = "sudo systemctl restart bluetooth",
                         .layer = FAULT_LAYER_BLUETOOTHD,
                         FROM_BLUEZ},
    [LINK_FAULT_DENIED] = {.name = "denied",
                           .text = "the D-Bus policy forbids talking to bluetoothd",
                           .remedy = "see /etc/dbus-1/system.d/bluetooth.conf; Debian's allows "
                                     "every user: sudo apt-get install --reinstall bluez; in a "
                                     "container, let the host's D-Bus policy and the container's "
                                     "AppArmor profile allow org.bluez",
                           .layer = FAULT_LAYER_POLICY,
                           .session = SESSION_BLUEZ,
                           .hopeless = true,
                           .tell_at = 1}, /* only a person changes it, and no rung needs trying */
    [LINK_FAULT_ADAPTER] = {.name = "adapter",
                            .text = "no such Bluetooth adapter",
                            .remedy = "see \"bluetoothctl list\"; plug the adapter in",
                            .layer = FAULT_LAYER_ADAPTER,
                            FROM_ADAPTER},
    [LINK_FAULT_ADAPTER_OFF] = {.name = "adapter_off",
                                .text = "the Bluetooth adapter is off or blocked",
                                .remedy = "bluetoothctl power on; if that fails: sudo rfkill "
                                          "unblock bluetooth",
                                .layer = FAULT_LAYER_POWER,
                                FROM_ADAPTER},

    /* ---- on the way to this device ---- */
    [LINK_FAULT_NOT_FOUND] = {.name = "not_found",
                              .text = "not found: out of range, asleep, or another app is "
                                      "connected to it",
                              .remedy =
                                  "close the phone app; wake the battery with a load; " CLOSER,
                              .layer = FAULT_LAYER_CONNECTION,
                              .session = SESSION_LINK_LOSS,
                              ABOUT_ADAPTER},
    [LINK_FAULT_TIMEOUT] = {.name = "timeout",
                            .text = "connecting took too long: out of range, asleep, or another "
                                    "app is connected to it",
                            .remedy = "close the phone app; " CLOSER,
                            .layer = FAULT_LAYER_CONNECTION,
                            .session = SESSION_LINK_LOSS,
                            ABOUT_DEVICE,
                            ABOUT_ADAPTER},
    [LINK_FAULT_REFUSED] = {.name = "refused",
                            .text = "connecting failed",
                            .remedy = "if it goes on: sudo systemctl restart bluetooth",
                            .layer = FAULT_LAYER_CONNECTION,
                            .session = SESSION_LINK_LOSS,
                            .transient = true,
                            ABOUT_DEVICE,
                            ABOUT_ADAPTER},
    [LINK_FAULT_BREDR] = {.name = "bredr",
                          .text = "bluetoothd tried to connect over classic Bluetooth instead of "
                                  "Bluetooth LE",
                          .remedy =
                              "set \"ControllerMode = le\" in /etc/bluetooth/main.conf, which "
                              "disables headsets and other classic devices, then sudo "
                              "systemctl restart bluetooth",
                          .layer = FAULT_LAYER_CONNECTION,
                          .session = SESSION_LINK_LOSS,
                          .transient = true,
                          ABOUT_DEVICE},
    [LINK_FAULT_LIMIT] = {.name = "limit",
                          .text = "the adapter holds no more connections",
                          .remedy = "--link=per-poll, or add an adapter",
                          .layer = FAULT_LAYER_CONNECTION,
                          .session = SESSION_LINK_LOSS},
    [LINK_FAULT_CONTESTED] = {.name = "contested",
                              .text = "another program on this machine reads it",
                              .remedy = "stop the other program: a second bms-exporter, bms-shed, "
                                        "or Home Assistant's Bluetooth integration",
                              .layer = FAULT_LAYER_CONNECTION,
                              .session = SESSION_LINK_LOSS,
                              ABOUT_BOARD},
    [LINK_FAULT_RESOLVE] = {.name = "resolve",
                            .text = "connected, but its GATT services were not resolved",
                            .remedy = CLOSER "; if it goes on: bluetoothctl remove ADDRESS",
                            .removal_helps = true,
                            .layer = FAULT_LAYER_CONNECTION,
                            .session = SESSION_LINK_LOSS,
                            .transient = true,
                            ABOUT_DEVICE,
                            ABOUT_ADAPTER},
    [LINK_FAULT_SERVICE] = {.name = "service",
                            .text = "not a JBD board: it has neither service FF00 nor FFF0",
                            .remedy = "compare the address with what --scan lists",
                            .layer = FAULT_LAYER_CONNECTION,
                            .session = SESSION_LINK_LOSS,
                            .hopeless = true,
                            ABOUT_DEVICE,
                            ABOUT_BOARD},
    /* A link that is up and refuses notifications is as sure a sign as there is that the services
     * which BlueZ remembers are not those of the board: one failure earlier than the others. */
    [LINK_FAULT_SUBSCRIBE] = {.name = "subscribe",
                              .text = "notifications could not be switched on",
                              .remedy = "if it goes on: bluetoothctl remove ADDRESS",
                              .removal_helps = true,
                              .layer = FAULT_LAYER_CONNECTION,
                              .session = SESSION_LINK_LOSS,
                              .remove_from = 2,
                              .transient = true,
                              ABOUT_ADAPTER},
    /* Never RemoveDevice: bluetoothd up to 5.85 crashes when it forgets a device whose
     * notifications are left acquired. */
    [LINK_FAULT_LOCKED] = {.name = "locked",
                           .text = "another program holds its notifications, or has left them "
                                   "locked",
                           .remedy = "stop the other program; if none is running: sudo systemctl "
                                     "restart bluetooth",
                           .layer = FAULT_LAYER_CONNECTION,
                           .session = SESSION_LINK_LOSS,
                           .command = true,
                           .hopeless = true,
                           ABOUT_BOARD},
    [LINK_FAULT_WRITE] = {.name = "write",
                          .text = "writing to it failed",
                          .layer = FAULT_LAYER_TALK,
                          .session = SESSION_STALL, /* the link is there and does not carry */
                          .transient = true,
                          ABOUT_DEVICE,
                          ABOUT_ADAPTER},
    [LINK_FAULT_LOST] = {.name = "lost",
                         .text = "the connection broke",
                         .remedy = CLOSER,
                         .layer = FAULT_LAYER_CONNECTION,
                         .session = SESSION_LINK_LOSS,
                         .transient = true,
                         ABOUT_DEVICE,
                         ABOUT_ADAPTER},

    /* ---- over a link that is up ---- */
    [LINK_FAULT_SILENT] = {.name = "silent",
                           .text = "connected but silent: asleep, or it asks for a password",
                           .remedy = "wake the battery with a load; see whether the phone app "
                                     "wants a password, and whether it is a JBD board, not of the "
                                     "UP series",
                           .layer = FAULT_LAYER_TALK,
                           .session = SESSION_LINK_LOSS,
                           .transient = true,
                           ABOUT_DEVICE,
                           ABOUT_ADAPTER},
    [LINK_FAULT_SLOW] = {.name = "slow",
                         .text = "its answers take longer than the poll interval allows",
                         .remedy = "raise --poll.interval",
                         .layer = FAULT_LAYER_TALK,
                         .session = SESSION_LINK_LOSS,
                         ABOUT_BOARD},
    [LINK_FAULT_ECHO] = {.name = "echo",
                         .text = "it only echoes what it is sent: it asks for a password or "
                                 "pairing",
                         .remedy = "see whether the phone app wants a password",
                         .layer = FAULT_LAYER_TALK,
                         .session = SESSION_LINK_LOSS,
                         ABOUT_BOARD},
    [LINK_FAULT_NOISE] = {.name = "noise",
                          .text = "connected, but its answers arrive corrupted",
                          .remedy = CLOSER "; keep the cable of its Bluetooth module away "
                                           "from inverters",
                          .layer = FAULT_LAYER_TALK,
                          .session = SESSION_LINK_LOSS,
                          .transient = true,
                          ABOUT_ADAPTER},
    [LINK_FAULT_MALFORMED] = {.name = "malformed",
                              .text = "its answers arrive undamaged, but are not understood",
                              .remedy = "please report the board's model and the bytes that "
                                        "--log.level=debug logs",
                              .layer = FAULT_LAYER_TALK,
                              .session = SESSION_LINK_LOSS,
                              .hopeless = true,
                              ABOUT_BOARD},
    [LINK_FAULT_REFUSES] = {.name = "refuses",
                            .text = "it refuses reads: locked, or in factory mode",
                            .remedy = "close the phone app, or leave its settings",
                            .layer = FAULT_LAYER_TALK,
                            .session = SESSION_LINK_LOSS,
                            .tell_at = 1},
    [LINK_FAULT_FOREIGN] = {.name = "foreign",
                            .text = "it speaks another protocol than JBD boards do",
                            .remedy = "compare the address with what --scan lists",
                            .layer = FAULT_LAYER_TALK,
                            .session = SESSION_LINK_LOSS,
                            .hopeless = true,
                            ABOUT_BOARD},

    /* ---- for want of a secret ---- */
    [LINK_FAULT_PASSWORD_WANTED] = {.name = "password_wanted",
                                    .text = "it wants a password, and none is known for it",
                                    .remedy = "put the phone app's password into a file and name "
                                              "it with --battery.password-file",
                                    .layer = FAULT_LAYER_SECRET,
                                    .session = SESSION_LINK_LOSS,
                                    .hopeless = true,
                                    ABOUT_BOARD},
    [LINK_FAULT_PASSWORD_WRONG] = {.name = "password_wrong",
                                   .text = "it refuses the password; it is not sent again for an "
                                           "hour, or until the password file is read again",
                                   .remedy = "correct it in the password file, then send SIGHUP "
                                             "or restart",
                                   .layer = FAULT_LAYER_SECRET,
                                   .session = SESSION_LINK_LOSS,
                                   .hopeless = true,
                                   ABOUT_BOARD},
    [LINK_FAULT_PAIRING_WANTED] = {.name = "pairing_wanted",
                                   .text = "it wants to be paired, and no passkey is known for it",
                                   .remedy = "if that stays: put its six digits into a file and "
                                             "name it with --battery.password-file",
                                   .layer = FAULT_LAYER_SECRET,
                                   .session = SESSION_STALL,
                                   .hopeless = true,
                                   ABOUT_BOARD},
    [LINK_FAULT_PAIRING] = {.name = "pairing",
                            .text = "pairing failed, and is not tried again for an hour, or until "
                                    "the password file is read again",
                            .remedy = "see whether the passkey is right; bluetoothctl remove "
                                      "ADDRESS",
                            .removal_helps = true,
                            .layer = FAULT_LAYER_SECRET,
                            .session = SESSION_STALL,
                            .hopeless = true,
                            ABOUT_BOARD},
};

static const char *const session_reason_names[SESSION_N_REASONS] = {
    [SESSION_START] = "start",     [SESSION_RENEWAL] = "renewal", [SESSION_STALL] = "stall",
    [SESSION_TURN] = "turn",       [SESSION_RELEASE] = "release", [SESSION_LINK_LOSS] = "link_loss",
    [SESSION_ADAPTER] = "adapter", [SESSION_BLUEZ] = "bluez",
};

const char *session_reason_name(SessionReason reason)
{
    return session_reason_names[reason];
}

const FaultTraits *link_fault_traits(LinkFault fault)
{
    return &faults[fault];
}

const char *link_fault_name(LinkFault fault)
{
    return faults[fault].name;
}

const char *link_fault_text(LinkFault fault)
{
    return faults[fault].text;
}

const char *fault_remedy_fill(const char *remedy, const char *address,
                              char buffer[FAULT_REMEDY_SIZE])
{
    static const char placeholder[] = "ADDRESS";
    size_t size = 0;

    if (!remedy)
        return NULL;
    while (*remedy != '\0' && size < FAULT_REMEDY_SIZE - 1) {
        if (strncmp(remedy, placeholder, sizeof placeholder - 1) == 0) {
            for (const char *c = address; *c != '\0' && size < FAULT_REMEDY_SIZE - 1; c++)
                buffer[size++] = *c;
            remedy += sizeof placeholder - 1;
        } else {
            buffer[size++] = *remedy++;
        }
    }
    buffer[size] = '\0';
    return buffer;
}

const char *link_fault_remedy(LinkFault fault)
{
    return faults[fault].remedy;
}

bool link_fault_is_general(LinkFault fault)
{
    FaultLayer layer = faults[fault].layer;

    return layer >= FAULT_LAYER_BUS && layer <= FAULT_LAYER_POWER;
}

/* SPDX-License-Identifier: MIT */
/* The words for what a link does and what befalls it. */
#include "link.h"

static const char *const stage_names[] = {
    [LINK_CLOSED] = "disconnected",
    [LINK_WAITING] = "waiting for the radio",
    [LINK_FINDING] = "looking for the battery",
    [LINK_CONNECTING] = "connecting",
    [LINK_RESOLVING] = "discovering services",
    [LINK_SUBSCRIBING] = "subscribing",
    [LINK_UP] = "connected",
    [LINK_CLOSING] = "disconnecting",
};

static const struct {
    const char *name;
    const char *text;
    const char *remedy;
} faults[] = {
    [LINK_FAULT_NONE] = {"none", "", NULL},
    [LINK_FAULT_BUS] = {"bus", "no D-Bus system bus", "sudo systemctl start dbus"},
    [LINK_FAULT_BLUEZ] = {"bluez", "bluetoothd is not running", "sudo systemctl start bluetooth"},
    [LINK_FAULT_HUNG] = {"hung", "bluetoothd does not answer", "sudo systemctl restart bluetooth"},
    [LINK_FAULT_DENIED] = {"denied", "the D-Bus policy forbids talking to bluetoothd",
                           "see /etc/dbus-1/system.d/bluetooth.conf; Debian's lets every user: "
                           "sudo apt-get install --reinstall bluez"},
    [LINK_FAULT_ADAPTER] = {"adapter", "no such Bluetooth adapter",
                            "see \"bluetoothctl list\"; plug the adapter in"},
    [LINK_FAULT_ADAPTER_OFF] = {"adapter_off", "the Bluetooth adapter is off or blocked",
                                "bluetoothctl power on; if that fails: sudo rfkill unblock "
                                "bluetooth"},
    [LINK_FAULT_NOT_FOUND] = {"not_found",
                              "not found: out of range, asleep, or another app is connected to it",
                              "close the phone app, come closer, wake the battery with a load"},
    [LINK_FAULT_TIMEOUT] = {"timeout",
                            "connecting took too long: out of range, asleep, or another app is "
                            "connected to it",
                            "close the phone app, come closer"},
    [LINK_FAULT_REFUSED] = {"refused", "connecting failed",
                            "if it goes on: sudo systemctl restart bluetooth"},
    [LINK_FAULT_LIMIT] = {"limit", "the adapter holds no more connections",
                          "--link=per-poll, or an adapter more"},
    [LINK_FAULT_RESOLVE] = {"resolve", "connected, but its GATT services did not come",
                            "come closer; if it goes on: bluetoothctl remove ADDRESS"},
    [LINK_FAULT_SERVICE] = {"service", "not a JBD board: it has neither service FF00 nor FFF0",
                            "compare the address with what --scan lists"},
    [LINK_FAULT_SUBSCRIBE] = {"subscribe", "notifications could not be switched on",
                              "if it goes on: bluetoothctl remove ADDRESS"},
    [LINK_FAULT_WRITE] = {"write", "writing to it failed", NULL},
    [LINK_FAULT_LOST] = {"lost", "the connection broke", "come closer"},
    [LINK_FAULT_SILENT] = {"silent", "connected but silent: asleep, or it asks for a password",
                           "wake the battery with a load; see whether the phone app wants a "
                           "password, and whether it is a JBD board, not of the UP series"},
    [LINK_FAULT_ECHO] = {"echo",
                         "it only echoes what it is sent: it asks for a password or pairing",
                         "see whether the phone app wants a password"},
    [LINK_FAULT_NOISE] =
        {"noise", "connected, but its answers come damaged",
         "come closer; keep the cable of its Bluetooth module away from inverters"},
    [LINK_FAULT_REFUSES] = {"refuses", "it refuses to be read: locked, or in factory mode",
                            "close the phone app, or leave its settings"},
    [LINK_FAULT_FOREIGN] = {"foreign", "it speaks another protocol than JBD boards do",
                            "compare the address with what --scan lists"},
    [LINK_FAULT_PASSWORD_WANTED] = {"password_wanted",
                                    "it wants a password, and none is known for it",
                                    "put the phone app's password into a file and name it with "
                                    "--battery.password-file"},
    [LINK_FAULT_PASSWORD_WRONG] = {"password_wrong",
                                   "it refuses the password; it is not sent again for an hour, or "
                                   "until the password file is read again",
                                   "correct it in the password file, then send SIGHUP or restart"},
    [LINK_FAULT_PAIRING_WANTED] = {"pairing_wanted",
                                   "it wants to be paired, and no passkey is known for it",
                                   "if that stays: put its six digits into a file and name it with "
                                   "--battery.password-file"},
    [LINK_FAULT_PAIRING] = {"pairing",
                            "pairing failed, and is not tried again for an hour, or until the "
                            "password file is read again",
                            "see whether the passkey is right; bluetoothctl remove ADDRESS"},
};

const char *link_stage_name(LinkStage stage)
{
    return stage_names[stage];
}

const char *link_fault_name(LinkFault fault)
{
    return faults[fault].name;
}

const char *link_fault_text(LinkFault fault)
{
    return faults[fault].text;
}

const char *link_fault_remedy(LinkFault fault)
{
    return faults[fault].remedy;
}

bool link_fault_is_general(LinkFault fault)
{
    return fault >= LINK_FAULT_BUS && fault <= LINK_FAULT_ADAPTER_OFF;
}

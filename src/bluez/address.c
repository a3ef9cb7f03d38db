/* SPDX-License-Identifier: MIT */
/* Bluetooth addresses, as libbluetooth reads and writes them. */
#include "bluez.h"

#include <bluetooth/bluetooth.h>

gboolean bluez_parse_address(const char *text, char out[18])
{
    bdaddr_t address;

    if (bachk(text) < 0 || str2ba(text, &address) < 0)
        return FALSE;
    ba2str(&address, out);
    return TRUE;
}

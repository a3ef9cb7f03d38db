/* SPDX-License-Identifier: MIT */
#include "advice.h"

#include "system.h"

void advice_on_fault(Advice *advice, LinkFault fault, const char *detail)
{
    advice->text = g_strdup(detail && *detail ? detail : link_fault_text(fault));
    advice->remedy = link_fault_remedy(fault);
}

static void refine(Advice *advice, const char *what, const char *remedy)
{
    char *text = g_strdup_printf("%s: %s", advice->text, what);

    g_free(advice->text);
    advice->text = text;
    advice->remedy = remedy;
}

void advice_on_bluez(Advice *advice, const Bluez *bluez)
{
    const char *detail;
    LinkFault fault = bluez_fault(bluez, &detail);

    advice_on_fault(advice, fault, detail);
    if (fault != LINK_FAULT_ADAPTER && fault != LINK_FAULT_ADAPTER_OFF)
        return;
    switch (system_rfkill(SYSTEM_RFKILL_DIRECTORY, bluez_adapter_name(bluez))) {
    case SYSTEM_RFKILL_SOFT:
        refine(advice, "blocked by software (rfkill)", "sudo rfkill unblock bluetooth");
        break;
    case SYSTEM_RFKILL_HARD:
        refine(advice, "blocked by a switch of this machine (rfkill)",
               "the switch or key for wireless, or the firmware's settings");
        break;
    case SYSTEM_RFKILL_FREE:
        if (fault == LINK_FAULT_ADAPTER_OFF)
            refine(advice, "switched off, not blocked", "bluetoothctl power on");
        break;
    case SYSTEM_RFKILL_UNKNOWN:
        break;
    }
}

LinkFault advice_on_silence(Advice *advice, const Bluez *bluez)
{
    LinkFault fault = bluez_on_bus(bluez) ? LINK_FAULT_HUNG : LINK_FAULT_BUS;

    advice_on_fault(advice, fault, NULL);
    return fault;
}

void advice_clear(Advice *advice)
{
    g_clear_pointer(&advice->text, g_free);
}

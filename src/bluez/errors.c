/* SPDX-License-Identifier: MIT */
/*
 * BlueZ tells its errors apart by name, and within org.bluez.Error.Failed by message only. Names
 * decide where there are any; a text that is not known falls into BLUEZ_ERROR_OTHER, which is
 * always handled, so nothing depends on the wording.
 */
#include "private.h"

#include <string.h>

static const struct {
    const char *name; /* of the D-Bus error */
    const char *text; /* part of the message, or NULL for any */
    BluezError class;
} known_errors[] = {
    {"org.freedesktop.DBus.Error.UnknownObject", NULL, BLUEZ_ERROR_UNKNOWN},
    {"org.freedesktop.DBus.Error.UnknownMethod", NULL, BLUEZ_ERROR_UNKNOWN},
    {"org.bluez.Error.DoesNotExist", NULL, BLUEZ_ERROR_UNKNOWN},
    {"org.bluez.Error.InProgress", NULL, BLUEZ_ERROR_IN_PROGRESS},
    {"org.bluez.Error.Failed", "in progress", BLUEZ_ERROR_IN_PROGRESS},
    {"org.bluez.Error.AlreadyConnected", NULL, BLUEZ_ERROR_CONNECTED},
    {"org.bluez.Error.Failed", "Already Connected", BLUEZ_ERROR_CONNECTED},
    {"org.bluez.Error.NotConnected", NULL, BLUEZ_ERROR_NOT_CONNECTED},
    {"org.bluez.Error.Failed", "Not connected", BLUEZ_ERROR_NOT_CONNECTED},
    /* HCI's "connection limit exceeded" and "memory capacity exceeded", as words of bluetoothd
     * (EMLINK, ENOMEM) or of libc. */
    {"org.bluez.Error.Failed", "connection-limit", BLUEZ_ERROR_LIMIT},
    {"org.bluez.Error.Failed", "memory-allocation", BLUEZ_ERROR_LIMIT},
    {"org.bluez.Error.Failed", "Too many links", BLUEZ_ERROR_LIMIT},
    {"org.bluez.Error.NotSupported", NULL, BLUEZ_ERROR_UNSUPPORTED},
    {"org.bluez.Error.NotPermitted", "Not paired", BLUEZ_ERROR_NOT_PAIRED},
    {"org.bluez.Error.NotPermitted", "acquired", BLUEZ_ERROR_ACQUIRED},
    {"org.bluez.Error.NotPermitted", NULL, BLUEZ_ERROR_UNSUPPORTED},
    {"org.bluez.Error.NotAuthorized", NULL, BLUEZ_ERROR_NOT_PAIRED},
    {"org.bluez.Error.AlreadyExists", NULL, BLUEZ_ERROR_EXISTS},
    {"org.bluez.Error.AuthenticationFailed", NULL, BLUEZ_ERROR_AUTHENTICATION},
    {"org.bluez.Error.AuthenticationRejected", NULL, BLUEZ_ERROR_AUTHENTICATION},
    {"org.bluez.Error.AuthenticationTimeout", NULL, BLUEZ_ERROR_AUTHENTICATION},
    {"org.bluez.Error.InvalidArguments", NULL, BLUEZ_ERROR_UNSUPPORTED},
    {"org.freedesktop.DBus.Error.AccessDenied", NULL, BLUEZ_ERROR_DENIED},
    {"org.freedesktop.DBus.Error.NoReply", NULL, BLUEZ_ERROR_TIMEOUT},
    {"org.freedesktop.DBus.Error.Timeout", NULL, BLUEZ_ERROR_TIMEOUT},
};

BluezError bluez_error_class(const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return BLUEZ_ERROR_CANCELLED;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        return BLUEZ_ERROR_TIMEOUT;

    g_autofree char *name = g_dbus_error_get_remote_error(error);

    for (gsize i = 0; name && i < G_N_ELEMENTS(known_errors); i++)
        if (strcmp(name, known_errors[i].name) == 0 &&
            (!known_errors[i].text || strstr(error->message, known_errors[i].text)))
            return known_errors[i].class;
    return BLUEZ_ERROR_OTHER;
}

const char *bluez_error_text(GError *error)
{
    g_dbus_error_strip_remote_error(error);
    return error->message;
}

LinkFault bluez_error_fault(GError *error, char **detail)
{
    BluezError class = bluez_error_class(error);

    *detail = NULL;
    if (class == BLUEZ_ERROR_DENIED)
        return LINK_FAULT_DENIED;
    if (class != BLUEZ_ERROR_TIMEOUT)
        *detail =
            g_strdup_printf("bluetoothd does not let itself be asked: %s", bluez_error_text(error));
    return LINK_FAULT_HUNG;
}

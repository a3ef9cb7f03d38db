/* SPDX-License-Identifier: MIT */
/*
 * BlueZ tells its errors apart by name, and within org.bluez.Error.Failed by message only. Names
 * decide where there are any; a text that is not known falls into BLUEZ_ERROR_OTHER, which is
 * always handled, so nothing depends on the wording.
 */
#include "private.h"

#include <string.h>

typedef struct {
    const char *name; /* of the D-Bus error, its beginning with a dot at the end, or NULL for any */
    const char *text; /* part of the message, or NULL for any */
    BluezError class;
    LinkFault fault; /* which the error shows at whatever stage, or NONE: the stage decides */
} KnownError;

/* The first row that matches counts: exceptions stand before what they are exceptions from. */
static const KnownError known_errors[] = {
    {"org.freedesktop.DBus.Error.AccessDenied", NULL, BLUEZ_ERROR_DENIED, LINK_FAULT_DENIED},
    {"org.freedesktop.DBus.Error.NoReply", NULL, BLUEZ_ERROR_TIMEOUT, LINK_FAULT_NONE},
    {"org.freedesktop.DBus.Error.Timeout", NULL, BLUEZ_ERROR_TIMEOUT, LINK_FAULT_NONE},
    {"org.freedesktop.DBus.Error.UnknownObject", NULL, BLUEZ_ERROR_UNKNOWN, LINK_FAULT_NONE},
    {"org.freedesktop.DBus.Error.UnknownMethod", NULL, BLUEZ_ERROR_UNKNOWN, LINK_FAULT_NONE},

    {"org.bluez.Error.DoesNotExist", NULL, BLUEZ_ERROR_UNKNOWN, LINK_FAULT_NONE},
    {"org.bluez.Error.InProgress", NULL, BLUEZ_ERROR_IN_PROGRESS, LINK_FAULT_NONE},
    {"org.bluez.Error.AlreadyConnected", NULL, BLUEZ_ERROR_CONNECTED, LINK_FAULT_NONE},
    {"org.bluez.Error.NotConnected", NULL, BLUEZ_ERROR_NOT_CONNECTED, LINK_FAULT_NONE},
    {"org.bluez.Error.NotReady", NULL, BLUEZ_ERROR_OTHER, LINK_FAULT_ADAPTER_OFF},
    {"org.bluez.Error.NotSupported", NULL, BLUEZ_ERROR_UNSUPPORTED, LINK_FAULT_NONE},
    {"org.bluez.Error.NotPermitted", "Not paired", BLUEZ_ERROR_NOT_PAIRED, LINK_FAULT_NONE},
    {"org.bluez.Error.NotPermitted", "acquired", BLUEZ_ERROR_ACQUIRED, LINK_FAULT_NONE},
    {"org.bluez.Error.NotPermitted", NULL, BLUEZ_ERROR_UNSUPPORTED, LINK_FAULT_NONE},
    {"org.bluez.Error.NotAuthorized", NULL, BLUEZ_ERROR_NOT_PAIRED, LINK_FAULT_NONE},
    {"org.bluez.Error.InvalidArguments", NULL, BLUEZ_ERROR_UNSUPPORTED, LINK_FAULT_NONE},
    {"org.bluez.Error.AlreadyExists", NULL, BLUEZ_ERROR_EXISTS, LINK_FAULT_NONE},
    /* Pair has not got through to the device. */
    {"org.bluez.Error.ConnectionAttemptFailed", NULL, BLUEZ_ERROR_TIMEOUT, LINK_FAULT_NONE},
    {"org.bluez.Error.AuthenticationFailed", NULL, BLUEZ_ERROR_AUTHENTICATION, LINK_FAULT_NONE},
    {"org.bluez.Error.AuthenticationRejected", NULL, BLUEZ_ERROR_AUTHENTICATION, LINK_FAULT_NONE},
    {"org.bluez.Error.AuthenticationTimeout", NULL, BLUEZ_ERROR_AUTHENTICATION, LINK_FAULT_NONE},

    {"org.bluez.Error.Failed", "in progress", BLUEZ_ERROR_IN_PROGRESS, LINK_FAULT_NONE},
    {"org.bluez.Error.Failed", "Already Connected", BLUEZ_ERROR_CONNECTED, LINK_FAULT_NONE},
    {"org.bluez.Error.Failed", "Not connected", BLUEZ_ERROR_NOT_CONNECTED, LINK_FAULT_NONE},
    {"org.bluez.Error.Failed", "No ATT transport", BLUEZ_ERROR_NOT_CONNECTED, LINK_FAULT_NONE},
    {"org.bluez.Error.Failed", "Too many links", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},

    /* The reasons that Connect and Pair give since 5.62, as le-connection-… and br-connection-….
     * HCI's "connection limit exceeded" and "memory capacity exceeded" are two of them. */
    {NULL, "-connection-already-connected", BLUEZ_ERROR_CONNECTED, LINK_FAULT_NONE},
    {NULL, "-connection-adapter-not-powered", BLUEZ_ERROR_OTHER, LINK_FAULT_ADAPTER_OFF},
    {NULL, "-connection-concurrent-connection-limit", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},
    {NULL, "-connection-memory-allocation", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},
    {NULL, "-connection-busy", BLUEZ_ERROR_IN_PROGRESS, LINK_FAULT_NONE},
    {NULL, "-connection-key-missing", BLUEZ_ERROR_AUTHENTICATION, LINK_FAULT_PAIRING},
    {NULL, "le-connection-timeout", BLUEZ_ERROR_TIMEOUT, LINK_FAULT_NONE},
    /* Also said of an attempt over LE that another client ends by Disconnect. */
    {NULL, "br-connection-canceled", BLUEZ_ERROR_OTHER, LINK_FAULT_NONE},
    {NULL, "br-connection-", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {"org.bluez.Error.BREDR.", NULL, BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},       /* since 5.84 */
    {"org.bluez.Error.NotAvailable", NULL, BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR}, /* no profile */
    /* The same before 5.62, in the words of libc: no profile, and a page time-out. */
    {"org.bluez.Error.Failed", "Protocol not available", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {"org.bluez.Error.Failed", "Host is down", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
};

static gboolean name_matches(const char *known, const char *name)
{
    if (!known)
        return TRUE;
    return g_str_has_suffix(known, ".") ? g_str_has_prefix(name, known) : strcmp(name, known) == 0;
}

/* @return the row of @a error, or NULL */
static const KnownError *find_error(const GError *error)
{
    g_autofree char *name = g_dbus_error_get_remote_error(error);

    for (gsize i = 0; name && i < G_N_ELEMENTS(known_errors); i++)
        if (name_matches(known_errors[i].name, name) &&
            (!known_errors[i].text || strstr(error->message, known_errors[i].text)))
            return &known_errors[i];
    return NULL;
}

BluezError bluez_error_class(const GError *error)
{
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return BLUEZ_ERROR_CANCELLED;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
        return BLUEZ_ERROR_TIMEOUT;

    const KnownError *known = find_error(error);

    return known ? known->class : BLUEZ_ERROR_OTHER;
}

const char *bluez_error_text(GError *error)
{
    g_dbus_error_strip_remote_error(error);
    return error->message;
}

LinkFault bluez_error_fault(GError *error, LinkFault otherwise, const char *failed, char **detail)
{
    const KnownError *known = find_error(error);
    LinkFault fault = known ? known->fault : LINK_FAULT_NONE;
    gboolean named = fault != LINK_FAULT_NONE;

    *detail = g_strdup_printf("%s%s%s: %s", named ? link_fault_text(fault) : "", named ? ": " : "",
                              failed, bluez_error_text(error));
    return named ? fault : otherwise;
}

LinkFault bluez_objects_fault(GError *error, char **detail)
{
    *detail = NULL;
    if (bluez_error_class(error) == BLUEZ_ERROR_TIMEOUT)
        return LINK_FAULT_HUNG;
    return bluez_error_fault(error, LINK_FAULT_HUNG, "its objects cannot be listed", detail);
}

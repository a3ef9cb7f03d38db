/* SPDX-License-Identifier: MIT */
/*
 * What each error of BlueZ and of the bus is taken for: the names and texts of BlueZ's src/error.c,
 * src/error.h, src/device.c and src/gatt-client.c, from 5.50 to 5.85.
 */
#include "bluez/private.h"

#define FAILED "org.bluez.Error.Failed"
#define BUS    "org.freedesktop.DBus.Error."
#define OWN    LINK_FAULT_NONE /* the fault of the stage */

static const struct {
    const char *name, *message;
    BluezError class;
    LinkFault fault;
} cases[] = {
    /* The bus. */
    {BUS "AccessDenied", "Rejected send message", BLUEZ_ERROR_DENIED, LINK_FAULT_DENIED},
    {BUS "NoReply", "x", BLUEZ_ERROR_TIMEOUT, OWN},
    {BUS "Timeout", "x", BLUEZ_ERROR_TIMEOUT, OWN},
    {BUS "UnknownObject", "x", BLUEZ_ERROR_UNKNOWN, OWN},
    {BUS "UnknownMethod", "x", BLUEZ_ERROR_UNKNOWN, OWN},
    {BUS "ServiceUnknown", "x", BLUEZ_ERROR_OTHER, OWN},

    /* By name. */
    {"org.bluez.Error.InvalidArguments", "Invalid Length", BLUEZ_ERROR_UNSUPPORTED, OWN},
    {"org.bluez.Error.InProgress", "In Progress", BLUEZ_ERROR_IN_PROGRESS, OWN},
    {"org.bluez.Error.InProgress", "br-connection-busy", BLUEZ_ERROR_IN_PROGRESS, OWN},
    {"org.bluez.Error.AlreadyExists", "Already Exists", BLUEZ_ERROR_EXISTS, OWN},
    {"org.bluez.Error.NotSupported", "x", BLUEZ_ERROR_UNSUPPORTED, OWN},
    {"org.bluez.Error.NotConnected", "Not Connected", BLUEZ_ERROR_NOT_CONNECTED, OWN},
    {"org.bluez.Error.AlreadyConnected", "x", BLUEZ_ERROR_CONNECTED, OWN},
    {"org.bluez.Error.DoesNotExist", "Does Not Exist", BLUEZ_ERROR_UNKNOWN, OWN},
    {"org.bluez.Error.NotAuthorized", "x", BLUEZ_ERROR_NOT_PAIRED, OWN},
    {"org.bluez.Error.NotPermitted", "Write not permitted", BLUEZ_ERROR_UNSUPPORTED, OWN},
    {"org.bluez.Error.NotPermitted", "Notify acquired", BLUEZ_ERROR_ACQUIRED, OWN},
    {"org.bluez.Error.NotPermitted", "Write acquired", BLUEZ_ERROR_ACQUIRED, OWN},
    {"org.bluez.Error.NotPermitted", "Not paired", BLUEZ_ERROR_NOT_PAIRED, OWN},
    {"org.bluez.Error.NotReady", "Resource Not Ready", BLUEZ_ERROR_OTHER, LINK_FAULT_ADAPTER_OFF},
    {"org.bluez.Error.NotReady", "br-connection-adapter-not-powered", BLUEZ_ERROR_OTHER,
     LINK_FAULT_ADAPTER_OFF},

    /* Pair. */
    {"org.bluez.Error.ConnectionAttemptFailed", "Page Timeout", BLUEZ_ERROR_TIMEOUT, OWN},
    {"org.bluez.Error.AuthenticationFailed", "x", BLUEZ_ERROR_AUTHENTICATION, OWN},
    {"org.bluez.Error.AuthenticationRejected", "x", BLUEZ_ERROR_AUTHENTICATION, OWN},
    {"org.bluez.Error.AuthenticationTimeout", "x", BLUEZ_ERROR_AUTHENTICATION, OWN},
    {"org.bluez.Error.AuthenticationCanceled", "x", BLUEZ_ERROR_OTHER, OWN},

    /* By text: GATT. */
    {FAILED, "Operation already in progress", BLUEZ_ERROR_IN_PROGRESS, OWN},
    {FAILED, "Not connected", BLUEZ_ERROR_NOT_CONNECTED, OWN},
    {FAILED, "No ATT transport", BLUEZ_ERROR_NOT_CONNECTED, OWN},
    {FAILED, "Operation failed with ATT error: 0x0e", BLUEZ_ERROR_OTHER, OWN},

    /* Connecting over LE. */
    {FAILED, "le-connection-invalid-arguments", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-adapter-not-powered", BLUEZ_ERROR_OTHER, LINK_FAULT_ADAPTER_OFF},
    {FAILED, "le-connection-not-supported", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-already-connected", BLUEZ_ERROR_CONNECTED, OWN},
    {FAILED, "le-connection-bad-socket", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-memory-allocation", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},
    {FAILED, "le-connection-busy", BLUEZ_ERROR_IN_PROGRESS, OWN},
    {FAILED, "le-connection-refused", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-create-socket", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-timeout", BLUEZ_ERROR_TIMEOUT, OWN},
    {FAILED, "le-connection-concurrent-connection-limit", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},
    {FAILED, "le-connection-abort-by-remote", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-abort-by-local", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-link-layer-protocol-error", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-gatt-browsing", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "le-connection-key-missing", BLUEZ_ERROR_AUTHENTICATION, LINK_FAULT_PAIRING},
    {FAILED, "le-connection-unknown", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "Software caused connection abort", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "Function not implemented", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "Input/output error", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "Too many links", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},

    /* Connecting over classic Bluetooth. */
    {FAILED, "br-connection-already-connected", BLUEZ_ERROR_CONNECTED, OWN},
    {FAILED, "br-connection-page-timeout", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-sdp-search", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-create-socket", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-invalid-argument", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-adapter-not-powered", BLUEZ_ERROR_OTHER, LINK_FAULT_ADAPTER_OFF},
    {FAILED, "br-connection-not-supported", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-bad-socket", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-memory-allocation", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},
    {FAILED, "br-connection-busy", BLUEZ_ERROR_IN_PROGRESS, OWN},
    {FAILED, "br-connection-concurrent-connection-limit", BLUEZ_ERROR_LIMIT, LINK_FAULT_LIMIT},
    {FAILED, "br-connection-timeout", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-refused", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-aborted-by-remote", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-aborted-by-local", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-lmp-protocol-error", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-unknown", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "br-connection-profile-unavailable", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {"org.bluez.Error.NotAvailable", "br-connection-profile-unavailable", BLUEZ_ERROR_OTHER,
     LINK_FAULT_BREDR},
    {"org.bluez.Error.NotAvailable", "Operation currently not available", BLUEZ_ERROR_OTHER,
     LINK_FAULT_BREDR},
    {"org.bluez.Error.BREDR.ProfileUnavailable", "No more profiles to connect to",
     BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "Protocol not available", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    {FAILED, "Host is down", BLUEZ_ERROR_OTHER, LINK_FAULT_BREDR},
    /* bluetoothd says these two of LE as well. */
    {FAILED, "br-connection-canceled", BLUEZ_ERROR_OTHER, OWN},
    {FAILED, "br-connection-key-missing", BLUEZ_ERROR_AUTHENTICATION, LINK_FAULT_PAIRING},

    {"org.bluez.Error.BREDR", "", BLUEZ_ERROR_OTHER, OWN},
    {"com.example.Never.Seen", "", BLUEZ_ERROR_OTHER, OWN},
};

static void test_remote(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = g_dbus_error_new_for_dbus_error(cases[i].name, cases[i].message);
        g_autofree char *detail = NULL;
        g_autofree char *expected = NULL;
        LinkFault fault = cases[i].fault == OWN ? LINK_FAULT_WRITE : cases[i].fault;

        g_test_message("%s: %s", cases[i].name, cases[i].message);
        g_assert_cmpint(bluez_error_class(error), ==, cases[i].class);
        g_assert_cmpint(bluez_error_fault(error, LINK_FAULT_WRITE, "it failed", &detail), ==,
                        fault);
        expected =
            g_strconcat(cases[i].fault == OWN ? "" : link_fault_text(fault),
                        cases[i].fault == OWN ? "" : ": ", "it failed: ", cases[i].message, NULL);
        g_assert_cmpstr(detail, ==, expected);
        g_assert_cmpstr(bluez_error_text(error), ==, cases[i].message);
    }
}

static void test_local(void)
{
    g_autoptr(GError) cancelled = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CANCELLED, "x");
    g_autoptr(GError) late = g_error_new_literal(G_IO_ERROR, G_IO_ERROR_TIMED_OUT, "late");
    g_autofree char *detail = NULL;

    g_assert_cmpint(bluez_error_class(cancelled), ==, BLUEZ_ERROR_CANCELLED);
    g_assert_cmpint(bluez_error_class(late), ==, BLUEZ_ERROR_TIMEOUT);
    g_assert_cmpint(bluez_error_fault(late, LINK_FAULT_SUBSCRIBE, "it failed", &detail), ==,
                    LINK_FAULT_SUBSCRIBE);
    g_assert_cmpstr(detail, ==, "it failed: late");
}

static LinkFault objects_fault(const char *name, const char *message, char **detail)
{
    g_autoptr(GError) error = g_dbus_error_new_for_dbus_error(name, message);

    return bluez_objects_fault(error, detail);
}

static void test_objects(void)
{
    g_autofree char *none = NULL;
    g_autofree char *denied = NULL;
    g_autofree char *other = NULL;

    g_assert_cmpint(objects_fault(BUS "NoReply", "x", &none), ==, LINK_FAULT_HUNG);
    g_assert_null(none);
    g_assert_cmpint(objects_fault(BUS "AccessDenied", "no", &denied), ==, LINK_FAULT_DENIED);
    g_assert_cmpstr(
        denied, ==,
        "the D-Bus policy forbids talking to bluetoothd: its objects cannot be listed: no");
    g_assert_cmpint(objects_fault(BUS "UnknownMethod", "what", &other), ==, LINK_FAULT_HUNG);
    g_assert_nonnull(strstr(other, "what"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bluez-errors/remote", test_remote);
    g_test_add_func("/bluez-errors/local", test_local);
    g_test_add_func("/bluez-errors/objects", test_objects);
    return g_test_run();
}

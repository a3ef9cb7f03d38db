/* SPDX-License-Identifier: MIT */
/*
 * GDBus, the clock and the main loop as src/bluez sees them, with everything that happens in the
 * hands of a test: the linker turns the calls to GLib that are listed in tests.mk over to these.
 * One thread and no file descriptor, so the same input always does the same, in microseconds.
 *
 * What GDBus promises is kept:
 *   - a callback comes from the main loop only, never from within the call;
 *   - a call whose cancellable was cancelled ends with G_IO_ERROR_CANCELLED, even if its reply had
 *     come; so does one that has run out of time, with G_IO_ERROR_TIMED_OUT;
 *   - a reply of another type than expected is an error;
 *   - a signal goes to those whose subscription fits it and still exists.
 * What would make GLib complain (a path that is none, a source that is not there) ends the test.
 */
#ifndef BMS_FAKE_BUS_H
#define BMS_FAKE_BUS_H

#include "fuzz.h"

#include <gio/gio.h>

/** A method call on its way. */
typedef struct {
    guint id; /**< later calls have higher ones */
    GDBusConnection *bus;
    char *owner; /**< whom it is for */
    char *path;
    char *iface;
    char *method;
    GVariant *parameters; /**< or NULL */
    const GVariantType *reply_type;
    gint64 deadline;
    GCancellable *cancellable;
    GAsyncReadyCallback callback; /**< NULL if no reply is wanted */
    gpointer user;
    GVariant *reply; /**< for call_finish(): this or … */
    GError *error;   /**< … this */
} FakeCall;

/** Told of each call, before it waits for its reply. A call without a callback goes then. */
typedef void (*FakeCalled)(const FakeCall *call);

/** A world without anything: µs of the clock begin somewhere, nobody is connected. */
void fake_begin(FakeCalled called);

/** Fails if anything is left that should have been given back. */
void fake_end(void);

gint64 fake_now(void);

/** Calls a function at a time of the clock; @return an id for fake_cancel_at() */
guint fake_call_at(gint64 when, GSourceFunc function, gpointer user);
void fake_cancel_at(guint *id);

/** Lets everything happen that needs no time: idle sources, and callbacks of cancelled calls. */
void fake_settle(void);

/** Lets time pass, and everything happen that is due by then. */
void fake_pass(gint64 us);

/** As if the process had been stopped: time passes, and nothing happens yet. */
void fake_stand_still(gint64 us);

/** When something is due next; G_MAXINT64 for never. */
gint64 fake_next_due(void);

/* ---- the bus ------------------------------------------------------------------------------- */

/** Whether somebody wants to connect to the bus. */
bool fake_is_connecting(void);
void fake_connect(bool succeeds);

/** The bus that was connected to last and has not closed; NULL if there is none. */
GDBusConnection *fake_bus(void);

/** The other end has hung up; the main loop has not been told. */
void fake_hang_up(void);
bool fake_has_hung_up(void);
/** Tells the main loop. */
void fake_tell_closed(void);

/** The watch for the owner of org.bluez; 0 while there is none. Each one wants to be told. */
guint fake_watch(void);
/** Tells who it is; NULL for nobody. */
void fake_tell_owner(const char *owner);

/* ---- calls and signals --------------------------------------------------------------------- */

guint fake_n_calls(void);
/** @param n < fake_n_calls(), the oldest first */
FakeCall *fake_call(guint n);

/** Answers a call, which is gone then. Takes over a floating @a reply. */
void fake_reply(FakeCall *call, GVariant *reply);
void fake_fail(FakeCall *call, const char *error, const char *text);

/** Takes over a floating @a parameters. */
void fake_signal(const char *sender, const char *path, const char *iface, const char *signal,
                 GVariant *parameters);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * What the files of a link share: link.c (its life, and the way out), connect.c (from an address
 * to a connection), rivals.c (other programs on this machine), pair.c (pairing on the way there),
 * gatt.c (from a connection to bytes).
 *
 * Each D-Bus call carries the cancellable of its attempt. A callback whose call was cancelled must
 * not touch the link: it may be on its next attempt, or freed.
 */
#ifndef BMS_BLUEZ_LINK_PRIVATE_H
#define BMS_BLUEZ_LINK_PRIVATE_H

#include "private.h"

enum { LINK_DISCONNECT_MS = 5000 }; /* a live link takes BlueZ 2 s to take down */

enum { PASSKEY_DIGITS = 6 };

struct BluezLink {
    Bluez *bluez;
    char address[18];
    char *label; /* for the log */
    const LinkEvents *events;
    void *user;

    LinkStage stage;
    gint64 stage_since;
    GCancellable *cancellable; /* of the attempt under way, or of its closing */
    guint idle;                /* GLib source: begins or ends outside the caller's stack */
    guint timer;               /* GLib source: bounds the stage */
    GSourceFunc on_not_there;  /* the timer's, where it bounds waiting for the device; else NULL */
    gint64 awaited_since;      /* monotonic: when that waiting began */

    char *device; /* object path, once found */
    guint device_subscription;
    gboolean held;   /* until Bluez is settled */
    gboolean afresh; /* BlueZ is to forget the device first */
    gboolean discovering;
    gboolean rediscovered; /* the device was unknown to Connect once in this attempt */
    gboolean engaged;      /* Connect was called: there may be a link to take down */
    gint64 resolve_by;     /* monotonic: when RESOLVING is over at the latest */

    gboolean known_down;      /* of our own link, and of a Connect of ours, nothing is left */
    gboolean removal_crashes; /* as far as known, bluetoothd does if it is to forget the device */
    void (*after_probe)(BluezLink *link);
    guint rival_signs;  /* of another program that connects to the device, in a row */
    gint64 rival_seen;  /* monotonic: the latest one */
    gint64 yield_us;    /* how long the link is left to it */
    gint64 yield_until; /* monotonic */

    GattInfo gatt;
    gboolean notify_stands; /* a StartNotify of ours may be in force at gatt.notify_path */
    guint value_subscription;
    gboolean use_request;    /* write with response */
    gboolean prefer_request; /* where both are possible, as an earlier session has found out */
    gboolean flipped;
    gboolean heard;    /* a notification has come in this session */
    gboolean answered; /* and one that was more than the lone 00 which many modules begin with */
    guint unanswered;  /* writes since the last notification */

    guint misses;          /* attempts in a row that did not come up */
    gboolean removal_told; /* since the last good session */

    gint32 passkey;         /* 0 to 999999, or -1 */
    gboolean wants_pairing; /* the next attempt begins with it */
    gboolean pairing;       /* Pair was called */
    gint64 pair_not_before; /* monotonic */

    LinkFault fault; /* with which the closing ends */
    char *detail;
};

/* ---- link.c -------------------------------------------------------------------------------- */

void link_set_stage(BluezLink *link, LinkStage stage);

/** Bounds what is going on: @a function is called once, after @a ms, unless set anew. */
void link_set_timer(BluezLink *link, guint ms, GSourceFunc function);
void link_clear_timer(BluezLink *link);

/** Calls a method of Device1, as part of the attempt. */
void link_call_device(BluezLink *link, const char *method, int timeout_ms,
                      GAsyncReadyCallback callback);

/** A call whose outcome changes nothing. */
void link_call_and_forget(BluezLink *link, const char *path, const char *iface, const char *method);

GVariant *link_finish_call(GObject *source, GAsyncResult *result, GError **error);

/**
 * Ends the attempt or the session: the only way out of every stage. Undoes what was begun (scan,
 * notify session, pending Connect or link), because a client's time-out cancels nothing in BlueZ;
 * then tells down().
 * @param detail in words, or NULL for link_fault_text()
 */
void link_finish(BluezLink *link, LinkFault fault, const char *detail);

/**
 * link_finish() for an error of D-Bus, with the fault that it shows.
 * @param otherwise the fault of the stage
 * @param failed what has failed, in words; see bluez_error_fault()
 */
void link_fail(BluezLink *link, GError *error, LinkFault otherwise, const char *failed);

/** The same for GetManagedObjects; does nothing if it was cancelled. */
void link_fail_objects(BluezLink *link, GError *error);

/* ---- connect.c ----------------------------------------------------------------------------- */

/** Stages FINDING and CONNECTING; goes on with link_resolve(). */
void link_find(BluezLink *link);

/** Connects to the device, which was found and perhaps paired. */
void link_connect(BluezLink *link);

/** Disconnects the device, whoever has connected it, and goes on with connecting. */
void link_take_down_first(BluezLink *link);

/* ---- rivals.c ------------------------------------------------------------------------------ */

/**
 * Judges what the objects say of a device that was found: whether another program has it.
 * @return whether that decides how it goes on; else the device is free
 */
gboolean rivals_judge(BluezLink *link, GVariant *objects, const DeviceInfo *device);

/** Ends the attempt if somebody has acquired one of the characteristics. @return whether */
gboolean rivals_lock(BluezLink *link, const GattInfo *gatt);

/** Ends the attempt or session because bluetoothd says that something is acquired. */
void rivals_finish_locked(BluezLink *link, const char *detail);

/** Connect says that another one is under way. @return whether it is another program's, and the
 * attempt is over */
gboolean rivals_connecting(BluezLink *link);

/** Whether there were signs of another program lately. */
gboolean rivals_are_suspected(const BluezLink *link);

/**
 * Notifying is true: ends the session if it is ours, and goes on with @a then; else ends the
 * attempt. Where Notifying is true nothing can be acquired, so StopNotify is safe; it is refused
 * unless the session is ours.
 */
void rivals_probe(BluezLink *link, const char *notify_path, void (*then)(BluezLink *link));

/* ---- pair.c -------------------------------------------------------------------------------- */

/** Pairs with the device; goes on with link_connect(). */
void link_pair_device(BluezLink *link);

/** LinkOps.pair */
LinkFault link_pair(void *link);

/* ---- gatt.c -------------------------------------------------------------------------------- */

/** Stages RESOLVING and SUBSCRIBING, up to UP. */
void link_resolve(BluezLink *link);

/** LinkOps.write */
void link_write(void *link, const uint8_t *data, size_t size);

/** PropertiesChanged of the device. */
void link_on_device_changed(GDBusConnection *bus, const char *sender, const char *path,
                            const char *iface, const char *signal, GVariant *parameters,
                            gpointer user);

#endif

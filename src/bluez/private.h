/* SPDX-License-Identifier: MIT */
/*
 * What the files of the bluez part share.
 *
 *   bus.c     the system bus, the owner of org.bluez, the adapter; tells links when that changes
 *   power.c   switches the adapter off and on
 *   radio.c   whose turn it is: one link at a time may scan or connect
 *   objects.c reads BlueZ's object tree
 *   errors.c  tells BlueZ's errors apart
 *   trim.c    gives memory back after a large object tree
 *   agent.c   answers bluetoothd's questions for passkeys
 *   scan.c    a discovery for its own sake, with neighbours.c: what it has found
 *   link.c    one device, with connect.c, rivals.c, pair.c and gatt.c; they share link-private.h
 */
#ifndef BMS_BLUEZ_PRIVATE_H
#define BMS_BLUEZ_PRIVATE_H

#include "bluez.h"

#include <gio/gio.h>

#define BLUEZ_NAME    "org.bluez"
#define ADAPTER_IFACE "org.bluez.Adapter1"
#define DEVICE_IFACE  "org.bluez.Device1"
#define CHAR_IFACE    "org.bluez.GattCharacteristic1"
#define SERVICE_IFACE "org.bluez.GattService1"
#define MANAGER_IFACE "org.freedesktop.DBus.ObjectManager"
#define PROPS_IFACE   "org.freedesktop.DBus.Properties"

/** Bounds a call that bluetoothd answers at once, if it is well. */
enum { BLUEZ_CALL_MS = 10000 };

/** Reply of GetManagedObjects. */
#define OBJECTS_TYPE G_VARIANT_TYPE("(a{oa{sa{sv}}})")

/* ---- radio.c ------------------------------------------------------------------------------- */

/**
 * The turn at the radio. While a scan or another connection attempt is under way, connecting
 * fails on many controllers, and two attempts at once can wedge the kernel's side of it for good
 * (seen on the bcm43438 of the Raspberry Pi). So links queue up for it.
 */
typedef struct {
    BluezLink *holder;
    GQueue waiting; /* of BluezLink, not owned */
} Radio;

/** Asks for the turn; link_granted() is called now or later. */
void radio_ask(Radio *radio, BluezLink *link);

/** Gives the place in the queue back, not the turn. Harmless if the link has none. */
void radio_leave(Radio *radio, BluezLink *link);

/** Gives the turn, or the place in the queue, back. Harmless if the link has neither. */
void radio_release(Radio *radio, BluezLink *link);

/** Whether anybody waits for the holder to be done. */
gboolean radio_is_contended(const Radio *radio);

/* ---- bus.c --------------------------------------------------------------------------------- */

struct Bluez {
    char *wanted_adapter; /* "hciN", an address, or NULL for any */
    GCancellable *cancellable;

    GDBusConnection *bus; /* NULL while there is none */
    gulong closed_handler;
    guint retry; /* GLib source that tries the bus again */
    guint retry_seconds;
    guint bus_timer; /* GLib source that bounds an attempt to connect */
    guint name_watch;
    guint rewatch; /* GLib source that makes the watch anew */

    char *owner; /* unique name of bluetoothd, NULL while it is not there */
    GCancellable *owner_cancellable;
    guint added_subscription;
    guint removed_subscription;
    gboolean objects_known; /* the object tree has been read since the owner appeared */
    guint reread;           /* GLib source that asks for the object tree again */
    guint trim;             /* GLib source that gives memory back, 0 for none */
    LinkFault complaint;    /* why it could not be read so far, or NONE */
    char *complaint_text;   /* the same in words, or NULL for link_fault_text() */

    char *adapter; /* object path, NULL while there is none */
    gboolean powered;
    guint adapter_subscription;

    char *cycled;         /* adapter that was switched off and is not on again yet, or NULL */
    gboolean finishing;   /* the program ends: it is not left off */
    gboolean power_again; /* not the first time in this outage: told at debug level */
    gboolean power_told;  /* that it cannot be switched on */
    gboolean mark_read;   /* whether an earlier process has left an adapter off is known */
    guint power_timer;
    GCancellable *power_cancellable;

    guint agent_object;              /* our pairing agent on the bus, 0 where there is none */
    gboolean agent_registered;       /* with the present owner */
    GCancellable *agent_cancellable; /* of a RegisterAgent under way, or NULL */
    LinkFault agent_fault;           /* why the latest RegisterAgent failed, or NONE */
    char *agent_detail;              /* the same in words, or NULL */

    gboolean settled; /* it is known for the first time what is there and what is not */
    LinkFault fault;  /* what stands in the way of every link, as told to them */
    GPtrArray *links; /* of BluezLink, not owned */
    Radio radio;

    void (*changed)(void *user);
    void *changed_user;
};

/** Calls a method of bluetoothd without ever starting it. */
void bluez_call(Bluez *bluez, const char *path, const char *iface, const char *method,
                GVariant *parameters, const GVariantType *reply, int timeout_ms,
                GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user);

/** What the program has been told with bluez_set_callback() has changed. */
void bluez_tell_changed(Bluez *bluez);

/** Reads the object tree, and takes the adapter that is the best one then. */
void bluez_read_objects(Bluez *bluez);

/** What there is to say about Bluez.fault beyond link_fault_text(), or NULL. */
const char *bluez_fault_detail(const Bluez *bluez);

/** Subscribes to PropertiesChanged of @a iface at @a path (NULL: any); 0 where there is no owner.
 */
guint bluez_watch_properties(Bluez *bluez, const char *path, const char *iface,
                             GDBusSignalCallback callback, gpointer user);
void bluez_unwatch(Bluez *bluez, guint *subscription);

/* ---- power.c ------------------------------------------------------------------------------- */

/** Switches an adapter on that an earlier process has switched off and not on again. */
void power_take_over(Bluez *bluez, GVariant *objects);

/* ---- trim.c -------------------------------------------------------------------------------- */

/** Gives the memory back that a large answer of GetManagedObjects has taken, once it is freed. */
void bluez_trim_after(Bluez *bluez, GVariant *objects);

/* ---- agent.c ------------------------------------------------------------------------------- */

/** Registers the agent with bluetoothd if a link has a passkey, else unregisters it. One that was
 * refused is registered again. */
void agent_update(Bluez *bluez);

/**
 * Why no device can be paired now, or LINK_FAULT_NONE.
 * @param detail in words, valid until the main loop runs
 */
LinkFault agent_fault(const Bluez *bluez, const char **detail);

/** bluetoothd has gone, and with it what was registered. */
void agent_owner_gone(Bluez *bluez);

/** The bus is about to be let go. */
void agent_bus_gone(Bluez *bluez);

/* ---- objects.c ----------------------------------------------------------------------------- */

/** Properties (a{sv}) of @a iface in an object's interfaces (a{sa{sv}}), or NULL. */
GVariant *objects_interface(GVariant *interfaces, const char *iface);

/**
 * The adapter that @a wanted names, or the first powered one, or the first one.
 * @return whether there is one; @a path is to be freed
 */
gboolean objects_find_adapter(GVariant *objects, const char *wanted, char **path,
                              gboolean *powered);

/** What is known of a device. */
typedef struct {
    char *path;
    gboolean paired;
    gboolean connected;
    gboolean services_resolved;
} DeviceInfo;

/** Whether an object's interfaces hold the device with @a address on @a adapter. */
gboolean objects_is_device(GVariant *interfaces, const char *adapter, const char *address);

gboolean objects_find_device(GVariant *objects, const char *adapter, const char *address,
                             DeviceInfo *info);
void device_info_clear(DeviceInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DeviceInfo, device_info_clear)

/** The characteristics that a JBD module is talked to through. */
typedef struct {
    char *notify_path;
    char *write_path;
    gboolean can_command;     /* write-without-response */
    gboolean can_request;     /* write */
    gboolean notifying;       /* to whoever called StartNotify */
    gboolean notify_acquired; /* by somebody who called AcquireNotify, or was to be */
    gboolean write_acquired;  /* by somebody who called AcquireWrite */
} GattInfo;

/**
 * Looks below @a device for service FF00 with FF01 and FF02, or FFF0 with FFF1 and FFF2.
 * @return whether both characteristics are there and have the flags they need
 */
gboolean objects_find_gatt(GVariant *objects, const char *device, GattInfo *info);
void gatt_info_clear(GattInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GattInfo, gatt_info_clear)

/** Whether notifications of any characteristic below @a device are acquired: then bluetoothd may
 * crash when it is told to remove the device. */
gboolean objects_any_acquired(GVariant *objects, const char *device);

/** The services below @a device as "1800 180a ff00", for messages; at most a few of them. */
char *objects_list_services(GVariant *objects, const char *device);

/** What has such services ("JK, ANT and LiTime boards"), or NULL. */
const char *objects_guess_make(const char *services);

/* ---- errors.c ------------------------------------------------------------------------------ */

/** What an error of BlueZ means for what to do next. */
typedef enum {
    BLUEZ_ERROR_CANCELLED,      /* by ourselves: the callback's data may be gone */
    BLUEZ_ERROR_TIMEOUT,        /* no answer in the time we gave it */
    BLUEZ_ERROR_UNKNOWN,        /* no such object: the device has been forgotten */
    BLUEZ_ERROR_IN_PROGRESS,    /* the same thing is already being done */
    BLUEZ_ERROR_NOT_CONNECTED,  /* there is no link */
    BLUEZ_ERROR_CONNECTED,      /* there is a link already */
    BLUEZ_ERROR_LIMIT,          /* the adapter has no room for another link */
    BLUEZ_ERROR_UNSUPPORTED,    /* will not be done in this way */
    BLUEZ_ERROR_EXISTS,         /* it is there already */
    BLUEZ_ERROR_ACQUIRED,       /* another client has it to itself */
    BLUEZ_ERROR_NOT_PAIRED,     /* the device wants to be paired first */
    BLUEZ_ERROR_AUTHENTICATION, /* pairing has failed */
    BLUEZ_ERROR_DENIED,         /* the bus does not pass it on */
    BLUEZ_ERROR_OTHER,
} BluezError;

BluezError bluez_error_class(const GError *error);

/** The error in words, without GDBus' prefix; valid while @a error is. */
const char *bluez_error_text(GError *error);

/**
 * The fault that an error shows. Some errors name their cause whatever was asked for (the bus
 * denies it, the adapter is off or full, classic Bluetooth was tried); all others mean that the
 * stage has failed. Every stage asks here, so that none takes such a cause for its own.
 * @param otherwise the fault of the stage
 * @param failed what has failed at this stage, in words ("writing failed")
 * @param detail in words, to be freed
 */
LinkFault bluez_error_fault(GError *error, LinkFault otherwise, const char *failed, char **detail);

/**
 * The same for GetManagedObjects.
 * @param detail in words, to be freed, or NULL for link_fault_text()
 */
LinkFault bluez_objects_fault(GError *error, char **detail);

/* ---- link.c, connect.c: called by bus.c and radio.c
 * --------------------------------------------------- */

/** It is the link's turn at the radio. */
void link_granted(BluezLink *link);
/** Somebody else waits for the radio that this link holds. */
void link_hurry(BluezLink *link);
/** Bluez.fault has changed. */
void link_environment_changed(BluezLink *link, LinkFault fault);
/** Objects came and went anywhere in BlueZ's tree. */
void link_object_added(BluezLink *link, const char *path, GVariant *interfaces);
void link_object_removed(BluezLink *link, const char *path, const char *const *interfaces);

#endif

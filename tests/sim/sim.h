/* SPDX-License-Identifier: MIT */
/*
 * The stand-in for bluetoothd: what its files share.
 *
 *   main.c             command line and main loop
 *   standin_bus.c      the bus: owning org.bluez, taking calls, sending replies and signals
 *   standin_tree.c     the object tree: paths, properties, their signals
 *   standin_script.c   replies that are scripted: kept back, refused, followed by something
 *   standin_adapter.c  Adapter1, discovery
 *   standin_power.c    adapters that come and go, on and off
 *   standin_device.c   Device1: objects that come and go, Connect and Disconnect
 *   standin_link.c     a live link: up, resolved, lost
 *   standin_pair.c     pairing, and the agents that are asked for passkeys
 *   standin_gatt.c     GattCharacteristic1: its calls, and the writes to the board
 *   standin_notify.c   notify sessions and notifications
 *   standin_acquire.c  AcquireNotify and AcquireWrite
 *   standin_list.c     the tree as a whole: GetManagedObjects, Introspect
 *   control.c          the control sockets
 *   control_*.c        what their lines do
 *
 * Everything hangs on one struct sim and one main context; nothing is global.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "board.h"
#include "faults.h"

#include <gio/gio.h>

#define SIM_MAX_BATTERIES 128
#define SIM_MAX_FRAME_HEX 600

#define ADAPTER_INTERFACE        "org.bluez.Adapter1"
#define DEVICE_INTERFACE         "org.bluez.Device1"
#define SERVICE_INTERFACE        "org.bluez.GattService1"
#define CHARACTERISTIC_INTERFACE "org.bluez.GattCharacteristic1"
#define DESCRIPTOR_INTERFACE     "org.bluez.GattDescriptor1"
#define PROPERTIES_INTERFACE     "org.freedesktop.DBus.Properties"
#define MANAGER_INTERFACE        "org.freedesktop.DBus.ObjectManager"

#define ERROR_FAILED        "org.bluez.Error.Failed"
#define ERROR_IN_PROGRESS   "org.bluez.Error.InProgress"
#define ERROR_NOT_READY     "org.bluez.Error.NotReady"
#define ERROR_NOT_SUPPORTED "org.bluez.Error.NotSupported"
#define ERROR_NOT_PERMITTED "org.bluez.Error.NotPermitted"
#define ERROR_NOT_CONNECTED "org.bluez.Error.NotConnected"
#define ERROR_INVALID       "org.bluez.Error.InvalidArguments"
#define ERROR_NO_DEVICE     "org.bluez.Error.DoesNotExist"
#define ERROR_BUSY          "org.bluez.Error.Busy"
#define ERROR_BLOCKED       "org.bluez.Error.Blocked"

/* A write or read of a handle that the peer has no more. */
#define STALE_HANDLE_MESSAGE "Operation failed with ATT error: 0x01"

#define NOTIFY_ACQUIRED_MESSAGE "Notify acquired"
#define WRITE_ACQUIRED_MESSAGE  "Write acquired"

/* Who is in the place of a client's name for the control channel's other program. */
#define RIVAL "rival"

struct sim;
struct control;

/**
 * A time that is drawn: its least, median, ninth decile and greatest value, evenly between them.
 */
struct range {
    double low, median, decile9, high;
};

struct timing {
    struct range connect, resolve, discover, disconnect;
    double absent, temporary, supervision, notify, write, write_timeout, start, power;
};

/** Whether the first link of a Device1 object is told of by Connected: true. */
enum first_connected {
    FIRST_CONNECTED_RANDOM,
    FIRST_CONNECTED_ALWAYS,
    FIRST_CONNECTED_NEVER,
};

/** A client's StartNotify. It outlives the link, as in BlueZ. */
struct session {
    char *client;
    gboolean registered; /* BlueZ holds a registration for it on the present link */
};

enum acquired_state {
    ACQUIRED_NOT,
    ACQUIRED_PENDING, /* asked for, not answered */
    ACQUIRED_OPEN,
    ACQUIRED_LEFT, /* never to be answered, and acquired for ever */
};

/** A client's AcquireNotify or AcquireWrite. */
struct acquired {
    enum acquired_state state;
    char *client;
    GDBusMessage *call;
    int fd, rival_fd; /* our end, and the other one if it is RIVAL's; 0 for none */
    guint watch;
};

struct device;

/** A battery: the board, where it is, the faults that it was asked to have, and counts. */
struct battery {
    struct sim *sim;
    guint index; /* among all */
    char address[18];
    char node[24]; /* dev_A4_C1_38_00_00_01 */
    char *name;
    struct board board;
    struct faults faults;
    guint uuid_base;  /* 0xff00 or 0xfff0 */
    char *advertises; /* UUIDs of 16 bits, separated by +; NULL for its own service */
    gboolean random_address, paired;
    gboolean write_command, write_request;
    gboolean deaf_command, deaf_request; /* takes what its flags say, and does not listen */
    gboolean known;                      /* BlueZ has it stored at the start */
    gboolean present;                    /* switched on and in range */
    struct device *linked; /* a board takes one central at a time, and then does not advertise */
    guint generation;      /* of its own services' handles */
    guint drop_after;
    gint64 uart_free;
    gboolean wants_pairing; /* echoes until it is paired with the passkey */
    guint32 passkey;
    gboolean authenticated; /* that has been done */

    guint requests[256];
    guint requests_total, replies, ignored, notifications, sessions_begun, links, losses;
    guint notify_starts, notify_stops, writes_command, writes_request;
    char last_request[2 * 64 + 1], last_reply[SIM_MAX_FRAME_HEX + 1];
};

/** One adapter's idea of a battery: a Device1 that is there or not, and what BlueZ knows of it. */
struct device {
    struct sim *sim;
    struct battery *battery;
    struct adapter *adapter;
    gboolean unheard; /* the battery is out of this adapter's range */

    gboolean exported;  /* the Device1 object is there */
    gboolean temporary; /* goes after the scan; else it is stored */
    gboolean stored;
    gboolean rssi_known;
    gint16 rssi;
    gboolean was_linked; /* this object; the first Connected:true is not always signalled */
    gboolean trusted, blocked, paired;
    GDBusMessage *pair_call;
    guint pair_timer;
    guint seen_timer, temporary_timer;

    GDBusMessage *connect_call;
    guint establish_timer, absent_timer;
    gboolean connect_hangs;
    GQueue disconnect_calls;
    guint disconnect_timer;

    gboolean connected, resolved, notify_dead;
    guint resolve_timer, objects_timer, drop_timer, locked_timer, loss_timer;
    gboolean gatt_exported, module_exported, wrong_services;
    gboolean cached;  /* the services were read; kept until the device is removed */
    guint generation; /* of the battery's services' handles, as they were read */
    gboolean stale;   /* what is cached is wrong, and is not read again */
    gboolean wedged;  /* Connect fails */
    GQueue sessions;
    struct acquired notify_acquired, write_acquired;
    gboolean other_left; /* notifications of another characteristic are acquired for ever */
    gboolean notifying;
    gboolean subscribed; /* the peer's CCC is set */
    guint ccc_timer;
    GQueue subscribe_calls;
    GDBusMessage *write_call;
    guint write_timer;
    GQueue deliveries;
    GBytes *value;
};

enum wedge {
    WEDGE_NONE,
    WEDGE_FAIL, /* every Connect fails at once */
    WEDGE_HANG, /* no Connect is ever answered */
};

/** It is known by its address; its name is given anew each time that it is plugged in. */
struct adapter {
    struct sim *sim;
    char *path; /* /org/bluez/hci0 */
    char *address, *alias;
    gboolean plugged; /* into the machine */
    gboolean present; /* there is an object for it */
    gboolean powered, discovering, rfkilled;
    enum wedge wedge;
    guint power_timer;
    gboolean power_wanted;
    GDBusMessage *power_call;
    GHashTable *clients; /* unique name -> struct discovery */
    GPtrArray *devices;  /* one for each battery, in their order */
};

struct sim {
    GMainLoop *loop;
    GDBusConnection *bus;
    guint bus_generation;
    gulong closed_handler;
    guint filter, watch;
    gboolean running; /* owns the name */
    gboolean quiet;
    gboolean hanging;
    GQueue inbox, outbox; /* while hanging */
    guint start_timer;
    struct script *script;
    GPtrArray *agents; /* in the order in which they registered, or NULL */

    GPtrArray *adapters; /* in the order in which they were first plugged in */
    struct timing timing;
    guint link_limit;          /* of each adapter; 0 for none */
    gboolean connect_busy_new; /* InProgress instead of Failed, as newer BlueZ */
    enum first_connected first_connected;
    GPtrArray *batteries;
    GHashTable *by_node;
    guint64 seed;
    uint64_t random;
    struct control *control;

    guint overlapping_connects, scan_while_connecting, calls;
    guint crashes, crash_timer;
};

enum node_kind {
    NODE_NONE,
    NODE_PARENT, /* nothing but children */
    NODE_ROOT,
    NODE_ADAPTER,
    NODE_DEVICE,
    NODE_SERVICE,
    NODE_CHARACTERISTIC,
    NODE_DESCRIPTOR,
};

/** Where a path leads. */
struct node {
    enum node_kind kind;
    struct adapter *adapter;
    struct device *device;
    guint row; /* of the GATT table */
};

struct gatt_row {
    enum node_kind kind;
    guint16 handle;
    guint parent;      /* row */
    int module;        /* 0..2: the board's own service, notify and write; below 0: another's */
    const char *uuid;  /* of another's */
    const char *flags; /* separated by commas */
};

#define GATT_ROWS   21
#define ROW_OTHER   10 /* notifies, and is none of the board's own */
#define ROW_SERVICE 17
#define ROW_NOTIFY  18
#define ROW_CCC     19
#define ROW_WRITE   20
extern const struct gatt_row gatt_table[GATT_ROWS];

/* standin_bus.c */
gboolean bus_start(struct sim *sim, GError **error);
void bus_stop(struct sim *sim);
void bus_hang(struct sim *sim, gboolean on);
void bus_signal(struct sim *sim, const char *path, const char *interface, const char *member,
                GVariant *arguments);
/** Both take the call's reference and do nothing without a call. */
void bus_reply(struct sim *sim, GDBusMessage *call, GVariant *result);
void bus_error(struct sim *sim, GDBusMessage *call, const char *name, const char *text);
/** The reply to AcquireNotify or AcquireWrite; the descriptor stays the caller's. */
void bus_reply_fd(struct sim *sim, GDBusMessage *call, int fd, guint16 mtu);
/** Sends what has passed the script. */
void bus_send(struct sim *sim, GDBusMessage *message);

/* standin_script.c: what is to happen with the calls of a method, whatever object it is of */
struct script *script_new(struct sim *sim);
void script_free(struct script *script);
/** Forgets the replies that it has kept back: the bluetoothd that gave them is dead. */
void script_drop(struct script *script);
/** Keeps the replies to @p method back, or sends them and keeps no more. */
void script_hold(struct script *script, const char *method, gboolean on);
/** The next @p count calls (below 0: all) fail without being carried out. */
void script_refuse(struct script *script, const char *method, const char *error, const char *text,
                   gint64 count);
/** Runs a line of the control channel right behind the next reply to @p method. */
void script_after(struct script *script, const char *method, const char *line);
/** @return whether the call is to be refused, with what. */
gboolean script_refuses(struct script *script, const char *method, char **error, char **text);
/** Takes note of a reply. @return whether it is kept back. */
gboolean script_keeps(struct script *script, GDBusMessage *call, GDBusMessage *reply);
/** Runs what is due after the replies that were sent. */
void script_run_due(struct script *script);

/* standin_tree.c */
struct node tree_find(struct sim *sim, const char *path);
char *tree_path(struct node node);
const char *tree_interface(enum node_kind kind);
GVariant *tree_properties(struct node node);
/** All interfaces of an object with their properties, a{sa{sv}}. */
GVariant *tree_interfaces(struct node node);
void tree_added(struct sim *sim, struct node node);
void tree_removed(struct sim *sim, struct node node);
/** One PropertiesChanged with the present values of the NULL-ended names. */
void tree_changed(struct sim *sim, struct node node, ...) G_GNUC_NULL_TERMINATED;
/** Adds or removes the GATT objects of a device: all of them, or only the board's own service. */
void tree_gatt(struct device *device, gboolean module_only, gboolean add);
gboolean tree_row_exists(const struct device *device, guint row);
struct node tree_adapter(struct adapter *adapter);
struct node tree_device(struct device *device);
struct node tree_row(struct device *device, guint row);

/* standin_list.c */
GVariant *tree_managed_objects(struct sim *sim);
char *tree_introspect(struct sim *sim, const char *path);

/* standin_adapter.c: each takes the call's reference */
void adapter_call(struct adapter *adapter, GDBusMessage *call, const char *member);
void adapter_client_gone(struct adapter *adapter, const char *client);
gboolean adapter_is_scanned_by(const struct adapter *adapter, const char *client);

/* standin_power.c: adapters that come and go, on and off; takes the call's reference */
/** Whether it is "hciN". */
gboolean adapter_is_name(const char *text);
/** "hciN" of it. */
const char *adapter_name(const struct adapter *adapter);
/** By "hciN" or address, plugged in or not. NULL: the first one. */
struct adapter *adapter_find(struct sim *sim, const char *name);
void adapter_set(struct adapter *adapter, GDBusMessage *call, const char *property,
                 GVariant *value);
void adapter_power(struct adapter *adapter, gboolean on);
void adapter_rfkill(struct adapter *adapter, gboolean blocked);
/** @p name and @p address may be NULL, see README.md. @return NULL where it cannot be. */
struct adapter *adapter_plug(struct sim *sim, const char *name, const char *address);
/** It is there for bluetoothd; @p powered as the kernel has it. */
void adapter_add(struct adapter *adapter);
/** It is gone: pulled, or its bluetoothd is. Tells of it when @p polite. */
void adapter_remove(struct adapter *adapter, gboolean polite);
void adapter_free(gpointer data);

/* standin_device.c */
void device_call(struct device *device, GDBusMessage *call, const char *member);
void device_export(struct device *device, gboolean temporary);
void device_unexport(struct device *device, gboolean signal);
void device_seen(struct device *device);
void device_scan(struct device *device, gboolean on);
void device_remove(struct device *device, GDBusMessage *call);
/** As by RemoveDevice: what BlueZ has stored of it is gone, too. */
void device_forget(struct device *device);
void device_block(struct device *device, gboolean on);
void device_abort(struct device *device, const char *error, const char *message);
gboolean device_try_all(struct adapter *adapter);
/** The battery's presence, or its being heard, has changed. */
void device_range_changed(struct device *device);
struct device *device_of(const struct adapter *adapter, const struct battery *battery);
/** Whether the adapter can hear the board, linked or not. */
gboolean device_is_heard(const struct device *device);

/* standin_pair.c: manager_call and device take the call's reference */
/** @return whether the call was for the manager of agents. */
gboolean pair_manager_call(struct sim *sim, GDBusMessage *call, const char *path,
                           const char *interface, const char *member);
void pair_client_gone(struct sim *sim, const char *client);
void pair_stop(struct sim *sim);
void pair_device(struct device *device, GDBusMessage *call);
/** Ends a pairing that is under way. */
void pair_cancel(struct device *device);
/** The same, for a bluetoothd that is dead. */
void pair_drop(struct device *device);
/** What the two have agreed on is gone. */
void pair_forget(struct device *device);
/** @return whether the board has sent the bytes back instead of looking at them. */
gboolean pair_echoes(struct device *device, const uint8_t *bytes, size_t length);
/** Has bluetoothd ask its default agent for a passkey out of the blue. @return the answer's line.
 */
char *pair_ask(struct sim *sim, struct device *device);

/* standin_link.c */
void link_up(struct device *device);
/** Draws whether a link that comes up now is told of by Connected: true. */
gboolean link_is_told(struct device *device);
void link_down(struct device *device, const char *reason, gboolean own, gboolean signal);
void link_resolved(struct device *device);
void link_services(struct battery *battery, gboolean there);
void link_make_stale(struct battery *battery);
void link_fault_changed(struct battery *battery, enum fault_id id);

/* standin_gatt.c */
void gatt_call(struct device *device, guint row, GDBusMessage *call, const char *member);
void gatt_link_down(struct device *device, gboolean signal);
/** A write without response to the board's own characteristic. */
void gatt_command(struct device *device, const uint8_t *bytes, size_t length);

/* standin_acquire.c: notify, write and stop take the call's reference */
void acquire_notify(struct device *device, GDBusMessage *call);
void acquire_write(struct device *device, GDBusMessage *call);
/** StopNotify where notifications are acquired. */
void acquire_stop(struct device *device, GDBusMessage *call);
void acquire_ccc_written(struct device *device);
void acquire_deliver(struct device *device, const void *bytes, gsize size);
void acquire_link_down(struct device *device);
void acquire_client_gone(struct device *device, const char *client);
void acquire_forget(struct device *device);
/** Whether removing the object ends bluetoothd. */
gboolean acquire_is_left(const struct device *device);
/** @return whether it could be acquired. */
gboolean acquire_by_rival(struct device *device, gboolean notify, gboolean answered);
void acquire_rival_releases(struct device *device);

/* standin_notify.c: start and stop take the call's reference */
void notify_start(struct device *device, GDBusMessage *call);
void notify_stop(struct device *device, GDBusMessage *call);
/** Sends one notification after @p delay seconds; with it ends the answer of @p reg, if not < 0. */
void notify_deliver(struct device *device, const void *bytes, gsize size, double delay, int reg);
void notify_link_up(struct device *device);
void notify_link_down(struct device *device, gboolean signal);
void notify_forget(struct device *device);
void notify_client_gone(struct device *device, const char *client);
/** The CCC is written a little later. */
void notify_write_ccc(struct device *device);
/** Another client's StartNotify. */
void notify_join(struct device *device, const char *client);

/* control.c */
struct control *control_new(struct sim *sim, const char *path, GError **error);
void control_free(struct control *control);
/** Tells every client that asked for events. */
void control_event(struct sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** @return the answer's one line, without its end. */
char *control_command(struct sim *sim, const char *line);
char *control_set(struct sim *sim, int argc, char **argv);
char *control_adapter(struct sim *sim, int argc, char **argv);
char *control_bluez(struct sim *sim, int argc, char **argv);
/** bluetoothd falls over a call of @p method, in a moment, and stays dead. */
void bluez_crash(struct sim *sim, const char *method);
char *control_rival(struct sim *sim, int argc, char **argv);
char *control_script(struct sim *sim, int argc, char **argv);
char *control_status(struct sim *sim);

/* main.c */
struct battery *battery_new(struct sim *sim, const char *spec, GError **error);
struct battery *battery_find(struct sim *sim, const char *address);
/** Calls a function for the battery at every adapter. */
void battery_each(struct battery *battery, void (*visit)(struct device *));
double sim_now(void);
double sim_draw(struct sim *sim, struct range range);
guint sim_after(double seconds, GSourceFunc function, gpointer data);
void sim_cancel(guint *timer);

/** Sends commands to the bms-sim whose control socket is at @a path, and prints the answers.
 * @param commands ended by NULL
 * @return exit status: 0 if each was answered by ok */
int sim_send(const char *path, char *const *commands);

#endif

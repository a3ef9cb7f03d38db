/* SPDX-License-Identifier: MIT */
/*
 * The stand-in for bluetoothd: what its files share.
 *
 *   main.c             command line and main loop
 *   standin_bus.c      the bus: owning org.bluez, taking calls, sending replies and signals
 *   standin_tree.c     the object tree: paths, properties, their signals
 *   standin_adapter.c  Adapter1, discovery, power
 *   standin_device.c   Device1: objects that come and go, Connect and Disconnect
 *   standin_link.c     a live link: up, resolved, lost
 *   standin_gatt.c     GattCharacteristic1: its calls, and the writes to the board
 *   standin_notify.c   notify sessions and notifications
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

struct sim;
struct control;

struct range {
    double low, high;
};

struct timing {
    struct range connect, resolve, discover;
    double disconnect, absent, temporary, supervision, notify, write, write_timeout, start, power;
};

/** A client's StartNotify. It outlives the link, as in BlueZ. */
struct session {
    char *client;
    gboolean registered; /* BlueZ holds a registration for it on the present link */
};

/** A central's battery: the board, the radio link to it and BlueZ's idea of it. */
struct battery {
    struct sim *sim;
    char address[18];
    char node[24]; /* dev_A4_C1_38_00_00_01 */
    char *name;
    struct board board;
    struct faults faults;
    guint uuid_base; /* 0xff00 or 0xfff0 */
    gboolean write_command, write_request;
    gboolean present; /* switched on and in range */
    guint drop_after;

    gboolean exported;  /* the Device1 object is there */
    gboolean temporary; /* goes after the scan; else it is stored */
    gboolean stored;
    gboolean rssi_known;
    gint16 rssi;
    gboolean was_linked; /* of this object; the first Connected:true is not signalled */
    gboolean trusted, blocked;
    guint seen_timer, temporary_timer;

    GDBusMessage *connect_call;
    guint establish_timer, absent_timer;
    gboolean connect_hangs;
    GQueue disconnect_calls;
    guint disconnect_timer;

    gboolean connected, resolved, notify_dead;
    guint resolve_timer, objects_timer, drop_timer, locked_timer, loss_timer;
    gboolean gatt_exported, module_exported, wrong_services;
    guint generation;
    GQueue sessions;
    gboolean notifying;
    gboolean subscribed; /* the peer's CCC is set */
    guint ccc_timer;
    GQueue subscribe_calls;
    GDBusMessage *write_call;
    guint write_timer;
    GQueue deliveries;
    gint64 uart_free;
    GBytes *value;

    guint requests[256];
    guint requests_total, replies, ignored, notifications, sessions_begun, links, losses;
    guint notify_starts, notify_stops, writes_command, writes_request;
    char last_request[2 * 64 + 1], last_reply[SIM_MAX_FRAME_HEX + 1];
};

struct adapter {
    char *path; /* /org/bluez/hci0 */
    char *address, *alias;
    gboolean present, powered, discovering;
    GHashTable *clients; /* unique name -> struct discovery */
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
    guint start_timer, power_timer;
    GDBusMessage *power_call;
    int exit_status;

    struct adapter adapter;
    struct timing timing;
    gboolean connect_busy_new; /* InProgress instead of Failed, as newer BlueZ */
    GPtrArray *batteries;
    GHashTable *by_node;
    guint64 seed;
    uint64_t random;
    struct control *control;

    guint overlapping_connects, scan_while_connecting, calls;
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
    struct battery *battery;
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

/* standin_tree.c */
struct node tree_find(struct sim *sim, const char *path);
char *tree_path(const struct sim *sim, struct node node);
const char *tree_interface(enum node_kind kind);
GVariant *tree_properties(struct sim *sim, struct node node);
/** All interfaces of an object with their properties, a{sa{sv}}. */
GVariant *tree_interfaces(struct sim *sim, struct node node);
void tree_added(struct sim *sim, struct node node);
void tree_removed(struct sim *sim, struct node node);
/** One PropertiesChanged with the present values of the NULL-ended names. */
void tree_changed(struct sim *sim, struct node node, ...) G_GNUC_NULL_TERMINATED;
/** Adds or removes the GATT objects of a battery: all of them, or only the board's own service. */
void tree_gatt(struct battery *battery, gboolean module_only, gboolean add);
gboolean tree_row_exists(const struct battery *battery, guint row);
struct node tree_device(struct battery *battery);
struct node tree_row(struct battery *battery, guint row);

/* standin_list.c */
GVariant *tree_managed_objects(struct sim *sim);
char *tree_introspect(struct sim *sim, const char *path);

/* standin_adapter.c: each takes the call's reference */
void adapter_call(struct sim *sim, GDBusMessage *call, const char *member);
void adapter_set(struct sim *sim, GDBusMessage *call, const char *property, GVariant *value);
void adapter_power(struct sim *sim, gboolean on);
void adapter_add(struct sim *sim, const char *name);
void adapter_remove(struct sim *sim, gboolean polite);
void adapter_client_gone(struct sim *sim, const char *client);

/* standin_device.c */
void device_call(struct battery *battery, GDBusMessage *call, const char *member);
void device_export(struct battery *battery, gboolean temporary);
void device_unexport(struct battery *battery, gboolean signal);
void device_seen(struct battery *battery);
void device_scan(struct battery *battery, gboolean on);
void device_remove(struct battery *battery, GDBusMessage *call);
void device_present(struct battery *battery, gboolean present);
void device_abort(struct battery *battery, const char *error, const char *message);
gboolean device_try_all(struct sim *sim);

/* standin_link.c */
void link_up(struct battery *battery);
void link_down(struct battery *battery, const char *reason, gboolean own, gboolean signal);
void link_resolved(struct battery *battery);
void link_services(struct battery *battery, gboolean there);
void link_fault_changed(struct battery *battery, enum fault_id id);

/* standin_gatt.c */
void gatt_call(struct battery *battery, guint row, GDBusMessage *call, const char *member);
void gatt_link_down(struct battery *battery, gboolean signal);

/* standin_notify.c: start and stop take the call's reference */
void notify_start(struct battery *battery, GDBusMessage *call);
void notify_stop(struct battery *battery, GDBusMessage *call);
/** Sends one notification after @p delay seconds; with it ends the answer of @p reg, if not < 0. */
void notify_deliver(struct battery *battery, const void *bytes, gsize size, double delay, int reg);
void notify_link_up(struct battery *battery);
void notify_link_down(struct battery *battery, gboolean signal);
void notify_forget(struct battery *battery);
void notify_client_gone(struct battery *battery, const char *client);

/* control.c */
struct control *control_new(struct sim *sim, const char *path, GError **error);
void control_free(struct control *control);
/** Tells every client that asked for events. */
void control_event(struct sim *sim, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** @return the answer's one line, without its end. */
char *control_command(struct sim *sim, const char *line);
char *control_set(struct sim *sim, int argc, char **argv);
char *control_status(struct sim *sim);

/* main.c */
struct battery *battery_new(struct sim *sim, const char *spec, GError **error);
struct battery *battery_find(struct sim *sim, const char *address);
double sim_now(void);
double sim_draw(struct sim *sim, struct range range);
guint sim_after(double seconds, GSourceFunc function, gpointer data);
void sim_cancel(guint *timer);

#endif

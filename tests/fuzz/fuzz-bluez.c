/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target for src/bluez with pollers on top: bluetoothd, the bus and the boards do what they
 * like, in any order, and time passes as they like.
 *
 *     input    flags (1)  sane steps at the start (1)  acts…
 *
 * An act is a byte, see acts[], and what it takes; its highest bit lets the next one follow before
 * the main loop comes to its idle sources. Then, unless a flag says otherwise, everybody is well
 * again; then the program ends while nobody answers. At any time
 *
 *   - each open() of a link is answered by one up() or down(), each up() by one down(), and
 *     nothing comes from inside an operation;
 *   - nothing is asked of bluetoothd but what is listed here, and nothing is written to a board but
 *     the four requests and the first step of the password handshake;
 *   - one Connect is under way at most, and no scan then;
 *   - readings are published only if the frames that say so have come since they were asked for,
 *     and are fresh only for as long as they should be;
 *   - the main loop comes to rest;
 *   - what GLib wants to be held to is held to, see fake-bus.h;
 *
 * and at the end both batteries are read again within RECOVERY_S, though what was not answered till
 * then never is; all links close within STOP_S, or are freed as they are; and nothing is left
 * behind.
 */
#include "fake-bluetoothd.h"
#include "jbd/board.h"

#include "bluez/private.h"
#include "poller.h"

#include "bluez/link-private.h"

#include <string.h>

enum {
    INTERVAL_S = 10,
    RENEW_S = 60,
    RECOVERY_S = 200,
    STOP_S = 6,
    MAX_ACTS = 128,
    MAX_STEPS = 4000,
    MAX_HEARD = 8192,
};

enum {
    FLAG_NO_RECOVERY = 1,
    FLAG_RESTART = 2,
    FLAG_ONE_DEVICE = 4,
    FLAG_ADAPTER = 8,
    FLAG_NO_STOP = 32
};

#define US(s) ((s)*INT64_C(1000000))

static const uint8_t requests[][7] = {
    {0xDD, 0xA5, 0x03, 0x00, 0xFF, 0xFD, 0x77},
    {0xDD, 0xA5, 0x04, 0x00, 0xFF, 0xFC, 0x77},
    {0xDD, 0xA5, 0x05, 0x00, 0xFF, 0xFB, 0x77},
    {0xDD, 0xA5, 0xAA, 0x00, 0xFF, 0x56, 0x77},
};

/* No password is known here, so of the handshake only its first step is ever sent. */
static const uint8_t step_key[] = {0xFF, 0xAA, 0x15, 0x06, 0x30, 0x30,
                                   0x30, 0x30, 0x30, 0x30, 0x3B};

static bool is_allowed(const uint8_t *data, size_t size)
{
    bool allowed = size == sizeof step_key && memcmp(data, step_key, size) == 0;

    for (gsize i = 0; i < G_N_ELEMENTS(requests); i++)
        allowed = allowed || (size == sizeof requests[i] && memcmp(data, requests[i], size) == 0);
    return allowed;
}

/* ---- a battery, its poller and its link, with somebody in between who watches --------------- */

typedef enum { CLOSED, OPENED, UP } LinkState;

typedef struct {
    Device device;
    Poller *poller;
    BluezLink *link;
    guint timer;

    LinkState state;
    bool in_operation;
    uint8_t heard[MAX_HEARD]; /* bytes of this session */
    size_t n_heard;
    size_t asked_at[UINT8_MAX + 1]; /* .n_heard when a register was last asked for */
    gint64 published_at;
    unsigned published;
} Unit;

static Bluez *bluez;
static Unit units[FAKE_DEVICES];
static unsigned n_units;

/* What has been asked of bluetoothd and is not over. */
static struct {
    char *connect; /* path */
    bool connect_ends;
    char *scan; /* path */
} under_way;

static void nothing_under_way(void)
{
    g_clear_pointer(&under_way.connect, g_free);
    g_clear_pointer(&under_way.scan, g_free);
    under_way.connect_ends = false;
}

static void on_stage(void *user, LinkStage stage)
{
    Unit *unit = user;

    CHECK(stage < LINK_N_STAGES);
    poller_link_events.stage(unit->poller, stage);
}

static void on_up(void *user)
{
    Unit *unit = user;

    CHECK(unit->state == OPENED && !unit->in_operation);
    unit->state = UP;
    unit->n_heard = 0;
    memset(unit->asked_at, 0, sizeof unit->asked_at);
    poller_link_events.up(unit->poller);
}

static void on_chunk(void *user, const uint8_t *data, size_t size)
{
    Unit *unit = user;

    CHECK(unit->state == UP && !unit->in_operation && size > 0);
    if (size > MAX_HEARD - unit->n_heard) { /* what was heard long ago does not count */
        unit->n_heard = 0;
        memset(unit->asked_at, 0, sizeof unit->asked_at);
    }
    CHECK(size <= MAX_HEARD);
    memcpy(unit->heard + unit->n_heard, data, size);
    unit->n_heard += size;
    poller_link_events.chunk(unit->poller, data, size);
}

static void on_down(void *user, LinkFault fault, const char *detail)
{
    Unit *unit = user;

    CHECK(unit->state != CLOSED && !unit->in_operation);
    CHECK(fault < LINK_N_FAULTS);
    unit->state = CLOSED;
    poller_link_events.down(unit->poller, fault, detail);
}

static void on_kick(void *user)
{
    Unit *unit = user;

    CHECK(!unit->in_operation);
    nothing_under_way(); /* adapter or bluetoothd had gone, and their work with them */
    poller_link_events.kick(unit->poller);
}

static const LinkEvents events = {
    .stage = on_stage, .up = on_up, .chunk = on_chunk, .down = on_down, .kick = on_kick};

static void link_op_open(void *user, bool afresh)
{
    Unit *unit = user;

    CHECK(unit->state == CLOSED && !unit->in_operation);
    unit->state = OPENED;
    unit->in_operation = true;
    bluez_link_ops.open(unit->link, afresh);
    unit->in_operation = false;
}

static void link_op_close(void *user)
{
    Unit *unit = user;

    unit->in_operation = true;
    bluez_link_ops.close(unit->link);
    unit->in_operation = false;
}

static void link_op_write(void *user, const uint8_t *data, size_t size)
{
    Unit *unit = user;

    CHECK(unit->state == UP && is_allowed(data, size));
    unit->asked_at[data[2]] = unit->n_heard;
    unit->in_operation = true;
    bluez_link_ops.write(unit->link, data, size);
    unit->in_operation = false;
}

static const LinkOps ops = {.open = link_op_open, .write = link_op_write, .close = link_op_close};

/* ---- the pollers' host ----------------------------------------------------------------------- */

static int64_t host_now(void *host)
{
    (void)host;
    return fake_now();
}

static gboolean on_timer(gpointer user)
{
    Unit *unit = user;

    unit->timer = 0;
    poller_wake(unit->poller);
    return G_SOURCE_REMOVE;
}

static void host_wake_at(void *host, int64_t when_us)
{
    Unit *unit = host;

    fake_cancel_at(&unit->timer);
    if (when_us != INT64_MAX)
        unit->timer = fake_call_at(when_us, on_timer, unit);
}

static bool same_basic(const JbdBasic *a, const JbdBasic *b)
{
    return a->pack_mv == b->pack_mv && a->current_ma == b->current_ma &&
           a->remaining_mah == b->remaining_mah && a->nominal_mah == b->nominal_mah &&
           a->cycles == b->cycles && a->protection == b->protection && a->fet == b->fet &&
           a->soc_percent == b->soc_percent && a->balancing == b->balancing &&
           a->sensor_count == b->sensor_count && a->has_tail == b->has_tail &&
           memcmp(a->temperature_dc, b->temperature_dc,
                  a->sensor_count * sizeof a->temperature_dc[0]) == 0;
}

static bool same_cells(const JbdCells *a, const JbdCells *b)
{
    return a->count == b->count && memcmp(a->mv, b->mv, a->count * sizeof a->mv[0]) == 0;
}

/** Whether a frame of @a reg that says what the battery says has come since it was asked for. */
static bool has_come(const Unit *unit, uint8_t reg)
{
    for (size_t at = unit->asked_at[reg]; at < unit->n_heard; at++) {
        const uint8_t *start = unit->heard + at;
        JbdBasic basic;
        JbdCells cells;

        if (sound_frame(start, unit->n_heard - at) == 0)
            continue;

        const JbdFrame frame = {
            .reg = start[1], .status = start[2], .size = start[3], .data = start + 4};

        if (reg == 0x03 && jbd_decode_basic(&frame, &basic) == JBD_OK &&
            same_basic(&basic, &jbd_state(&unit->device)->basic))
            return true;
        if (reg == 0x04 && jbd_decode_cells(&frame, &cells) == JBD_OK &&
            same_cells(&cells, &jbd_state(&unit->device)->cells))
            return true;
    }
    return false;
}

static void host_published(void *host)
{
    Unit *unit = host;

    CHECK(unit->state == UP);
    CHECK(has_come(unit, 0x03) && has_come(unit, 0x04));
    unit->published_at = fake_now();
    unit->published++;
}

static void host_fault(void *host)
{
    Unit *unit = host;

    CHECK(unit->device.fault > LINK_FAULT_NONE && unit->device.fault < LINK_N_FAULTS);
    CHECK(unit->device.detail[0] != '\0');
    CHECK(g_utf8_validate(unit->device.detail, -1, NULL));
}

static void host_changed(void *host)
{
    (void)host;
}

static bool host_recover(void *host, RecoveryAction action)
{
    (void)host;
    CHECK(action < RECOVERY_N_ACTIONS);
    return action == RECOVERY_POWER_CYCLE ? bluez_power_cycle(bluez, FALSE)
                                          : action == RECOVERY_TELL;
}

static const PollerHost host_ops = {
    .now = host_now,
    .boot_time = host_now,
    .wake_at = host_wake_at,
    .published = host_published,
    .fault = host_fault,
    .changed = host_changed,
    .recover = host_recover,
};

static void unit_begin(Unit *unit, unsigned device)
{
    const PollerConfig config = {
        .interval_us = US(INTERVAL_S),
        .offset_us = US(INTERVAL_S) / 2 * device,
        .renew_us = US(RENEW_S),
        .seed = device + 1,
    };

    memset(unit, 0, sizeof *unit);
    device_init(&unit->device, &jbd_kind, bluetoothd_address(device), NULL, config.interval_us);
    unit->poller = poller_new(&config, &unit->device, &host_ops, unit);
    unit->link = bluez_link_new(bluez, bluetoothd_address(device), &events, unit);
    poller_set_link(unit->poller, &ops, unit);
    poller_start(unit->poller);
}

static void unit_end(Unit *unit)
{
    fake_cancel_at(&unit->timer);
    bluez_link_free(unit->link);
    poller_free(unit->poller);
}

static void check_freshness(void)
{
    for (unsigned i = 0; i < n_units; i++) {
        const Unit *unit = &units[i];
        const bool fresh =
            unit->published > 0 && fake_now() - unit->published_at <= 3 * US(INTERVAL_S);

        CHECK(device_is_fresh(&unit->device, fake_now()) == fresh);
    }
}

/* ---- what is asked of bluetoothd ------------------------------------------------------------- */

static bool is_pending(const char *method, const char *path)
{
    for (guint i = 0; i < fake_n_calls(); i++) {
        const FakeCall *call = fake_call(i);

        if (strcmp(call->method, method) == 0 && strcmp(call->path, path) == 0 &&
            !g_cancellable_is_cancelled(call->cancellable))
            return true;
    }
    return false;
}

static void check_written(const FakeCall *call)
{
    g_autoptr(GVariant) value = NULL;
    g_autoptr(GVariant) options = NULL;
    const char *type = NULL;
    gsize size;

    CHECK(g_variant_is_of_type(call->parameters, G_VARIANT_TYPE("(aya{sv})")));
    g_variant_get(call->parameters, "(@ay@a{sv})", &value, &options);
    const guint8 *data = g_variant_get_fixed_array(value, &size, 1);

    CHECK(is_allowed(data, size));
    CHECK(g_variant_lookup(options, "type", "&s", &type));
    CHECK(strcmp(type, "command") == 0 || strcmp(type, "request") == 0);
}

static void note_connect(const FakeCall *call)
{
    CHECK(!under_way.scan);
    if (under_way.connect)
        CHECK(under_way.connect_ends && !is_pending("Disconnect", under_way.connect));
    g_free(under_way.connect);
    under_way.connect = g_strdup(call->path);
    under_way.connect_ends = false;
}

static void note_disconnect(const FakeCall *call)
{
    if (g_strcmp0(under_way.connect, call->path) == 0)
        under_way.connect_ends = true;
}

static void note_scan(const FakeCall *call)
{
    CHECK(!under_way.connect || under_way.connect_ends);
    g_free(under_way.scan);
    under_way.scan = g_strdup(call->path);
}

static void note_scan_stop(const FakeCall *call)
{
    if (g_strcmp0(under_way.scan, call->path) == 0)
        g_clear_pointer(&under_way.scan, g_free);
}

/** The only property that is ever set. */
static void check_set(const FakeCall *call)
{
    const char *iface, *property;
    g_autoptr(GVariant) value = NULL;

    CHECK(g_variant_is_of_type(call->parameters, G_VARIANT_TYPE("(ssv)")));
    g_variant_get(call->parameters, "(&s&sv)", &iface, &property, &value);
    CHECK(strcmp(iface, ADAPTER_IFACE) == 0 && strcmp(property, "Powered") == 0);
    CHECK(g_variant_is_of_type(value, G_VARIANT_TYPE_BOOLEAN));
}

static void on_call(const FakeCall *call)
{
    static const struct {
        const char *iface, *method;
        void (*note)(const FakeCall *call);
    } allowed[] = {
        {MANAGER_IFACE, "GetManagedObjects", NULL},
        {ADAPTER_IFACE, "SetDiscoveryFilter", NULL},
        {ADAPTER_IFACE, "StartDiscovery", note_scan},
        {ADAPTER_IFACE, "StopDiscovery", note_scan_stop},
        {ADAPTER_IFACE, "RemoveDevice", NULL},
        {PROPS_IFACE, "Set", check_set},
        {DEVICE_IFACE, "Connect", note_connect},
        {DEVICE_IFACE, "Disconnect", note_disconnect},
        {CHAR_IFACE, "StartNotify", NULL},
        {CHAR_IFACE, "StopNotify", NULL},
        {CHAR_IFACE, "WriteValue", check_written},
    };
    bool known = false;

    for (gsize i = 0; i < G_N_ELEMENTS(allowed); i++) {
        if (strcmp(call->iface, allowed[i].iface) != 0 ||
            strcmp(call->method, allowed[i].method) != 0)
            continue;
        known = true;
        if (allowed[i].note)
            allowed[i].note(call);
    }
    CHECK(known);
    bluetoothd_hear(call);
}

/** A call is about to be answered. */
static void note_answer(const FakeCall *call, bool is_error)
{
    if (strcmp(call->method, "Connect") == 0 && g_strcmp0(under_way.connect, call->path) == 0)
        g_clear_pointer(&under_way.connect, g_free);
    if (is_error && strcmp(call->method, "StartDiscovery") == 0)
        note_scan_stop(call);
}

/* ---- a world that is well ------------------------------------------------------------------- */

static void answer_well(FakeCall *call)
{
    note_answer(call, false);
    bluetoothd_answer(call);
}

/* Calls up to this one will never be answered. */
static guint last_lost;

static FakeCall *oldest_call(void)
{
    for (guint i = 0; i < fake_n_calls(); i++)
        if (fake_call(i)->id > last_lost)
            return fake_call(i);
    return NULL;
}

/** Lets happen what would happen next. */
static void step_well(void)
{
    FakeCall *call;

    if (fake_has_hung_up())
        fake_tell_closed();
    else if (fake_is_connecting())
        fake_connect(true);
    else if (fake_watch() && !bluetoothd_is_known())
        bluetoothd_tell_owner();
    else if ((call = oldest_call()))
        answer_well(call);
    else if (!(fake_bus() && (bluetoothd_act() || board_act())))
        fake_pass(CLAMP(fake_next_due(), fake_now() + 1, fake_now() + US(INTERVAL_S)) - fake_now());
    fake_settle();
    check_freshness();
}

static void recover(bool restart)
{
    const gint64 end = fake_now() + US(RECOVERY_S);
    unsigned before[FAKE_DEVICES];
    unsigned left = n_units;

    if (fake_n_calls() > 0)
        last_lost = fake_call(fake_n_calls() - 1)->id;
    bluetoothd_make_sound();
    bluetoothd_end_rivals();
    fake_bluetoothd.adapters[0].present = fake_bluetoothd.adapters[0].powered = true;
    fake_bluetoothd.adapters[1].present = false;
    if (restart || !fake_bluetoothd.runs) {
        bluetoothd_restart();
    } else {
        /* What was untrue is put right. */
        bluetoothd_tell_removed(1);
        bluetoothd_tell_added(0);
        bluetoothd_tell(FUZZ_ADAPTER, ADAPTER_IFACE, "Powered", g_variant_new_boolean(TRUE));
    }
    for (unsigned i = 0; i < n_units; i++)
        before[i] = units[i].published;
    for (unsigned steps = 0; left > 0; steps++) {
        CHECK(steps < MAX_STEPS && fake_now() < end);
        step_well();
        left = 0;
        for (unsigned i = 0; i < n_units; i++)
            left += units[i].published == before[i];
    }
}

/* ---- acts ------------------------------------------------------------------------------------ */

static void act_well(Script *script)
{
    for (unsigned n = script_byte(script) % 8; n > 0; n--)
        step_well();
}

static gint64 script_time(Script *script)
{
    static const gint64 times[] = {1000,    100000,   250000,   500000,
                                   2000000, 10000000, 40000000, 120000000};

    return times[script_byte(script) % G_N_ELEMENTS(times)];
}

static void act_pass(Script *script)
{
    fake_pass(script_time(script));
}

static void act_stand_still(Script *script)
{
    fake_stand_still(script_time(script));
}

static FakeCall *script_call(Script *script)
{
    const guint n = script_byte(script);

    return fake_n_calls() > 0 ? fake_call(n % fake_n_calls()) : NULL;
}

static void act_answer(Script *script)
{
    FakeCall *call = script_call(script);

    if (call)
        answer_well(call);
}

static void act_fail(Script *script)
{
    static const char *const names[] = {
        "org.bluez.Error.Failed",
        "org.bluez.Error.InProgress",
        "org.bluez.Error.AlreadyConnected",
        "org.bluez.Error.NotConnected",
        "org.bluez.Error.NotSupported",
        "org.bluez.Error.DoesNotExist",
        "org.freedesktop.DBus.Error.UnknownObject",
        "org.freedesktop.DBus.Error.NoReply",
        "org.freedesktop.DBus.Error.AccessDenied",
        "x.y",
    };
    static const char *const texts[] = {"in progress", "Already Connected", "Not connected", "",
                                        "le-connection-abort-by-local\n%s"};
    FakeCall *call = script_call(script);
    const char *name = names[script_byte(script) % G_N_ELEMENTS(names)];
    const char *text = texts[script_byte(script) % G_N_ELEMENTS(texts)];

    if (!call)
        return;
    note_answer(call, true);
    fake_fail(call, name, text);
}

static void act_reply(Script *script)
{
    FakeCall *call = script_call(script);
    GVariant *value = fuzz_variant(script);
    GVariant *reply = g_variant_new_tuple(&value, 1);

    if (call) {
        note_answer(call, false);
        fake_reply(call, reply);
    } else {
        g_variant_unref(g_variant_ref_sink(reply));
    }
}

static unsigned script_object(Script *script)
{
    return script_byte(script) % FAKE_OBJECTS;
}

static FakeDevice *script_device(Script *script, unsigned *number)
{
    *number = script_byte(script) % FAKE_DEVICES;
    return &fake_bluetoothd.devices[*number];
}

static const char *script_iface(Script *script)
{
    static const char *const ifaces[] = {ADAPTER_IFACE, DEVICE_IFACE, CHAR_IFACE, "x.y"};

    return ifaces[script_byte(script) % G_N_ELEMENTS(ifaces)];
}

static void act_tell(Script *script)
{
    static const char *const names[] = {"Connected", "ServicesResolved", "Powered",
                                        "Value",     "Notifying",        "RSSI"};
    g_autofree char *path = bluetoothd_object_path(script_object(script));
    const char *iface = script_iface(script);
    const char *name = names[script_byte(script) % G_N_ELEMENTS(names)];

    bluetoothd_tell(path, iface, name, fuzz_variant(script));
}

/** A signal whose arguments are not what they should be. */
static void act_tell_nonsense(Script *script)
{
    static const char *const signals[] = {"PropertiesChanged", "InterfacesAdded",
                                          "InterfacesRemoved"};
    const unsigned kind = script_byte(script) % 3;
    g_autofree char *path = bluetoothd_object_path(script_object(script));
    GVariant *arguments[3] = {g_variant_new_string(script_iface(script)), fuzz_variant(script),
                              fuzz_variant(script)};
    GVariant *some = g_variant_new_tuple(arguments, 1 + script_byte(script) % 3u);

    for (gsize i = g_variant_n_children(some); i < G_N_ELEMENTS(arguments); i++)
        g_variant_unref(g_variant_ref_sink(arguments[i]));
    fake_signal(fake_bluetoothd.owner, path, kind == 0 ? PROPS_IFACE : MANAGER_IFACE, signals[kind],
                some);
}

static void act_lose(Script *script)
{
    bluetoothd_lose(script_byte(script) % FAKE_DEVICES);
}

static void act_resolve(Script *script)
{
    unsigned number;
    FakeDevice *device = script_device(script, &number);
    g_autofree char *path = bluetoothd_device_path(number);

    device->resolved = !device->resolved;
    bluetoothd_tell(path, DEVICE_IFACE, "ServicesResolved",
                    g_variant_new_boolean(device->resolved));
}

static void act_power(Script *script)
{
    const uint8_t byte = script_byte(script);
    const unsigned adapter = byte % FAKE_ADAPTERS;
    const bool powered = byte & 0x10;

    fake_bluetoothd.adapters[adapter].powered = powered;
    if (!(byte & 0x20))
        bluetoothd_tell(bluetoothd_adapter_path(adapter), ADAPTER_IFACE, "Powered",
                        g_variant_new_boolean(powered));
}

static void act_plug(Script *script)
{
    const uint8_t byte = script_byte(script);
    const unsigned adapter = byte % FAKE_ADAPTERS;
    const bool present = byte & 0x10;

    fake_bluetoothd.adapters[adapter].present = present;
    fake_bluetoothd.adapters[adapter].powered = byte & 0x20;
    if (present)
        bluetoothd_tell_added(adapter);
    else
        bluetoothd_tell_removed(adapter);
}

static void act_tell_added(Script *script)
{
    bluetoothd_tell_added(script_object(script));
}

static void act_tell_removed(Script *script)
{
    bluetoothd_tell_removed(script_object(script));
}

/** Things are no more, or are again, and nobody is told. */
static void act_vanish(Script *script)
{
    const uint8_t byte = script_byte(script);
    FakeDevice *device = &fake_bluetoothd.devices[byte % FAKE_DEVICES];
    bool *const what[] = {
        &device->present,   &device->has_services,
        &device->connected, &device->resolved,
        &device->notifying, &fake_bluetoothd.adapters[byte % FAKE_ADAPTERS].present};
    bool *chosen = what[byte / 2 % G_N_ELEMENTS(what)];

    *chosen = !*chosen;
}

static void act_make_odd(Script *script)
{
    const uint8_t object = (uint8_t)script_object(script);
    const uint8_t property = script_byte(script);
    const bool missing = property & 0x80;

    bluetoothd_make_odd(object, property % FAKE_PROPERTIES, missing ? NULL : fuzz_variant(script));
}

static void act_make_sound(Script *script)
{
    (void)script;
    bluetoothd_make_sound();
}

static void act_set_flags(Script *script)
{
    const uint8_t byte = script_byte(script);

    fake_bluetoothd.devices[byte % FAKE_DEVICES].flags = byte / 2;
}

static void act_restart(Script *script)
{
    const uint8_t byte = script_byte(script);

    bluetoothd_restart();
    fake_bluetoothd.runs = !(byte & 1);
    if (fake_watch() && !(byte & 2))
        bluetoothd_tell_owner();
}

/** The watch is told that the bus has not answered in time: it looks as if nobody were there. */
static void act_tell_nobody(Script *script)
{
    (void)script;
    if (!fake_watch())
        return;
    fake_bluetoothd.told_watch = fake_watch();
    fake_tell_owner(NULL);
}

static void act_hang_up(Script *script)
{
    const bool told = script_byte(script) & 1;

    if (fake_bus())
        fake_hang_up();
    if (told && fake_has_hung_up())
        fake_tell_closed();
}

static void act_connect(Script *script)
{
    const bool succeeds = script_byte(script) & 1;

    if (fake_is_connecting())
        fake_connect(succeeds);
}

static void notify_in_pieces(unsigned device, const uint8_t *data, size_t size, size_t piece)
{
    for (size_t at = 0; at < size; at += piece)
        board_notify(device, data + at, MIN(size - at, piece));
}

/** An answer, of the register that was asked for or another one, perhaps damaged. */
static void act_board(Script *script)
{
    const uint8_t how = script_byte(script);
    const uint8_t where = script_byte(script);
    const unsigned device = how % FAKE_DEVICES;
    const uint8_t registers[] = {fake_bluetoothd.devices[device].asked, 0x03, 0x04, 0x05, 0xAA};
    uint8_t frame[UINT8_MAX + 7];
    size_t size = board_answer(registers[how / 2 % G_N_ELEMENTS(registers)], frame);

    if (how & 0x80)
        frame[where % size] ^= (uint8_t)(1 << where / 32);
    if (how & 0x40)
        size = where % size;
    notify_in_pieces(device, frame, size, how & 0x20 ? FAKE_CHUNK : 1 + where % 64u);
}

static void act_notify(Script *script)
{
    const unsigned device = script_byte(script) % FAKE_DEVICES;
    size_t size = script_byte(script) % 64;
    const uint8_t *bytes = script_bytes(script, &size);

    board_notify(device, bytes, size);
}

/** A frame with a right checksum around anything. */
static void act_frame(Script *script)
{
    static const uint8_t registers[] = {0x03, 0x04, 0x05, 0xAA};
    const uint8_t how = script_byte(script);
    size_t size = script_byte(script) % 64;
    const uint8_t *bytes = script_bytes(script, &size);
    uint8_t frame[UINT8_MAX + 7];
    const size_t total = make_frame(registers[how / 2 % G_N_ELEMENTS(registers)],
                                    how & 0x80 ? 0x80 | (how >> 3 & 3) : 0, bytes, size, frame);

    notify_in_pieces(how % FAKE_DEVICES, frame, total, FAKE_CHUNK);
}

static void act_echo(Script *script)
{
    const uint8_t byte = script_byte(script);

    board_notify(byte % FAKE_DEVICES, requests[byte / 2 % G_N_ELEMENTS(requests)],
                 sizeof requests[0]);
}

static void act_deaf(Script *script)
{
    unsigned number;

    script_device(script, &number)->asked = 0;
}

static void (*const acts[])(Script *script) = {
    act_well,       act_pass,          act_stand_still, act_answer,   act_fail,       act_reply,
    act_tell,       act_tell_nonsense, act_lose,        act_resolve,  act_power,      act_plug,
    act_tell_added, act_tell_removed,  act_vanish,      act_make_odd, act_make_sound, act_set_flags,
    act_restart,    act_tell_nobody,   act_hang_up,     act_connect,  act_board,      act_notify,
    act_frame,      act_echo,          act_deaf,
};

static void run_acts(Script *script)
{
    for (unsigned n = 0; n < MAX_ACTS && script->size > 0; n++) {
        const uint8_t byte = script_byte(script);

        acts[(byte & 0x7F) % G_N_ELEMENTS(acts)](script);
        if (!(byte & 0x80))
            fake_settle();
        check_freshness();
    }
    fake_settle();
}

/* ---- from the beginning to the end ----------------------------------------------------------- */

static void begin(uint8_t flags)
{
    static const char *const adapters[] = {NULL, "hci0", "00:1A:7D:DA:71:13", NULL};

    fake_begin(on_call);
    bluetoothd_begin();
    last_lost = 0;
    n_units = flags & FLAG_ONE_DEVICE ? 1 : FAKE_DEVICES;
    bluez = bluez_new(adapters[flags / FLAG_ADAPTER % G_N_ELEMENTS(adapters)]);
    for (unsigned i = 0; i < n_units; i++)
        unit_begin(&units[i], i);
    bluez_start(bluez);
    fake_settle();
}

static void stop(void)
{
    for (unsigned i = 0; i < n_units; i++)
        poller_stop(units[i].poller);
    bluez_finish_cycle(bluez);
    fake_pass(US(STOP_S));
    for (unsigned i = 0; i < n_units; i++) {
        CHECK(poller_is_stopped(units[i].poller));
        CHECK(units[i].state == CLOSED);
    }
}

static void end(void)
{
    for (unsigned i = 0; i < n_units; i++)
        unit_end(&units[i]);
    bluez_free(bluez);
    fake_end();
    bluetoothd_end();
    nothing_under_way();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Script script = {data, size};
    const uint8_t flags = script_byte(&script);

    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
    begin(flags);
    for (unsigned n = script_byte(&script) % 32; n > 0; n--)
        step_well();
    run_acts(&script);
    if (!(flags & FLAG_NO_RECOVERY))
        recover(flags & FLAG_RESTART);
    if (!(flags & FLAG_NO_STOP))
        stop();
    end();
    return 0;
}

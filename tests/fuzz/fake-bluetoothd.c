/* SPDX-License-Identifier: MIT */
#include "fake-bluetoothd.h"

#include "bluez/private.h"

#include <string.h>

/* Objects by number: adapters, devices, their services, their two characteristics each. */
enum {
    FIRST_DEVICE = FAKE_ADAPTERS,
    FIRST_SERVICE = FIRST_DEVICE + FAKE_DEVICES,
    FIRST_CHAR = FIRST_SERVICE + FAKE_DEVICES,
    LAST_OBJECT = FIRST_CHAR + 2 * FAKE_DEVICES,
};

G_STATIC_ASSERT((int)LAST_OBJECT == (int)FAKE_OBJECTS);

FakeBluetoothd fake_bluetoothd;

static FakeBluetoothd *const self = &fake_bluetoothd;

static const char *const addresses[FAKE_DEVICES] = {FUZZ_ADDRESS, FUZZ_OTHER_ADDRESS};
static const char *const device_paths[FAKE_DEVICES] = {FUZZ_ADAPTER "/dev_A4_C1_38_00_00_01",
                                                       FUZZ_ADAPTER "/dev_A4_C1_38_00_00_02"};
/* The second is one of the newer modules. */
static const struct {
    const char *service, *notify, *write;
} uuids[FAKE_DEVICES] = {
    {FUZZ_UUID("ff00"), FUZZ_UUID("ff01"), FUZZ_UUID("ff02")},
    {FUZZ_UUID("fff0"), FUZZ_UUID("fff1"), FUZZ_UUID("fff2")},
};
static const char *const write_flags[][3] = {
    {"write", "write-without-response"}, {"write-without-response"}, {"write"}, {"read"}};

void bluetoothd_begin(void)
{
    *self = (FakeBluetoothd){.runs = true};
    self->adapters[0].present = self->adapters[0].powered = true;
    for (unsigned i = 0; i < FAKE_DEVICES; i++)
        self->devices[i] = (FakeDevice){.present = true};
    bluetoothd_restart();
}

void bluetoothd_end(void)
{
    bluetoothd_make_sound();
}

/* ---- the tree ------------------------------------------------------------------------------ */

const char *bluetoothd_adapter_path(unsigned adapter)
{
    return adapter == 0 ? FUZZ_ADAPTER : FUZZ_OTHER_ADAPTER;
}

const char *bluetoothd_address(unsigned device)
{
    return addresses[device];
}

char *bluetoothd_device_path(unsigned device)
{
    return g_strdup(device_paths[device]);
}

char *bluetoothd_char_path(unsigned device, bool notify)
{
    return g_strdup_printf("%s/service0010/%s", device_paths[device],
                           notify ? "char0011" : "char0015");
}

char *bluetoothd_object_path(unsigned object)
{
    if (object < FIRST_DEVICE)
        return g_strdup(bluetoothd_adapter_path(object));
    if (object < FIRST_SERVICE)
        return bluetoothd_device_path(object - FIRST_DEVICE);
    if (object < FIRST_CHAR)
        return g_strdup_printf("%s/service0010", device_paths[object - FIRST_SERVICE]);
    return bluetoothd_char_path((object - FIRST_CHAR) / 2, (object - FIRST_CHAR) % 2 == 0);
}

int bluetoothd_find_device(const char *path)
{
    for (int i = 0; i < FAKE_DEVICES; i++)
        if (g_str_has_prefix(path, device_paths[i]))
            return i;
    return -1;
}

static const char *interface_of(unsigned object)
{
    if (object < FIRST_DEVICE)
        return ADAPTER_IFACE;
    if (object < FIRST_SERVICE)
        return DEVICE_IFACE;
    return object < FIRST_CHAR ? SERVICE_IFACE : CHAR_IFACE;
}

static bool is_there(unsigned object)
{
    if (object < FIRST_DEVICE)
        return self->adapters[object].present;
    if (object < FIRST_SERVICE)
        return self->devices[object - FIRST_DEVICE].present;

    const unsigned device =
        object < FIRST_CHAR ? object - FIRST_SERVICE : (object - FIRST_CHAR) / 2;

    return self->devices[device].present && self->devices[device].has_services;
}

static const FakeOddity *find_oddity(unsigned object, unsigned property)
{
    for (unsigned i = 0; i < self->n_oddities; i++)
        if (self->oddities[i].object == object && self->oddities[i].property == property)
            return &self->oddities[i];
    return NULL;
}

/** Adds property number @a property of @a object. Takes over a floating @a value. */
static void add(GVariantBuilder *builder, unsigned object, unsigned property, const char *name,
                GVariant *value)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(value);
    const FakeOddity *odd = find_oddity(object, property);

    if (!odd)
        g_variant_builder_add(builder, "{sv}", name, owned);
    else if (odd->value)
        g_variant_builder_add(builder, "{sv}", name, odd->value);
}

static void add_properties(GVariantBuilder *builder, unsigned object)
{
    if (object < FIRST_DEVICE) {
        add(builder, object, 0, "Address",
            g_variant_new_string(object == 0 ? "00:1A:7D:DA:71:13" : "00:1A:7D:DA:71:14"));
        add(builder, object, 1, "Powered", g_variant_new_boolean(self->adapters[object].powered));
    } else if (object < FIRST_SERVICE) {
        const FakeDevice *device = &self->devices[object - FIRST_DEVICE];

        add(builder, object, 0, "Address", g_variant_new_string(addresses[object - FIRST_DEVICE]));
        add(builder, object, 1, "Adapter", g_variant_new_object_path(FUZZ_ADAPTER));
        add(builder, object, 2, "Connected", g_variant_new_boolean(device->connected));
        add(builder, object, 3, "ServicesResolved", g_variant_new_boolean(device->resolved));
    } else if (object < FIRST_CHAR) {
        add(builder, object, 0, "UUID",
            g_variant_new_string(uuids[object - FIRST_SERVICE].service));
    } else {
        static const char *const notify[] = {"notify", NULL};
        const unsigned device = (object - FIRST_CHAR) / 2;
        const bool notifies = (object - FIRST_CHAR) % 2 == 0;
        const char *const *flags = notifies ? notify : write_flags[self->devices[device].flags & 3];

        add(builder, object, 0, "UUID",
            g_variant_new_string(notifies ? uuids[device].notify : uuids[device].write));
        add(builder, object, 1, "Flags", g_variant_new_strv(flags, -1));
        add(builder, object, 2, "Notifying",
            g_variant_new_boolean(notifies && self->devices[device].notifying));
        add(builder, object, 3, notifies ? "NotifyAcquired" : "WriteAcquired",
            g_variant_new_boolean(FALSE));
    }
}

GVariant *bluetoothd_interfaces(unsigned object)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sa{sv}}"));
    g_variant_builder_open(&builder, G_VARIANT_TYPE("{sa{sv}}"));
    g_variant_builder_add(&builder, "s", interface_of(object));
    g_variant_builder_open(&builder, G_VARIANT_TYPE_VARDICT);
    add_properties(&builder, object);
    g_variant_builder_close(&builder);
    g_variant_builder_close(&builder);
    return g_variant_builder_end(&builder);
}

static GVariant *build_tree(void)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
    for (unsigned object = 0; object < LAST_OBJECT; object++) {
        g_autofree char *path = bluetoothd_object_path(object);

        if (is_there(object))
            g_variant_builder_add(&builder, "{o@a{sa{sv}}}", path, bluetoothd_interfaces(object));
    }
    return g_variant_new("(@a{oa{sa{sv}}})", g_variant_builder_end(&builder));
}

/** What the tree depends on, packed; never 0. */
static guint64 tree_key(void)
{
    guint64 key = 1;

    for (unsigned i = 0; i < FAKE_ADAPTERS; i++)
        key = key << 2 | (guint64)(self->adapters[i].present << 1 | self->adapters[i].powered);
    for (unsigned i = 0; i < FAKE_DEVICES; i++) {
        const FakeDevice *d = &self->devices[i];

        key = key << 7 | (guint64)(d->present << 6 | d->connected << 5 | d->resolved << 4 |
                                   d->has_services << 3 | d->notifying << 2 | (d->flags & 3));
    }
    return key;
}

/** The tree, by far the most costly thing to build, is kept for when it is the same again. */
static GVariant *make_tree(void)
{
    enum { KEPT = 61 };
    static struct {
        guint64 key;
        GVariant *tree;
    } trees[KEPT];
    const guint64 key = tree_key();

    if (self->n_oddities > 0)
        return build_tree();
    if (trees[key % KEPT].key != key) {
        g_clear_pointer(&trees[key % KEPT].tree, g_variant_unref);
        trees[key % KEPT].key = key;
        trees[key % KEPT].tree = g_variant_ref_sink(build_tree());
        /* In one piece, as it would come from a socket. */
        (void)g_variant_get_data(trees[key % KEPT].tree);
    }
    return trees[key % KEPT].tree;
}

void bluetoothd_make_odd(uint8_t object, uint8_t property, GVariant *value)
{
    FakeOddity *odd = &self->oddities[self->n_oddities % FAKE_ODDITIES];

    if (self->n_oddities < FAKE_ODDITIES)
        self->n_oddities++;
    else
        odd = &self->oddities[object % FAKE_ODDITIES];
    g_clear_pointer(&odd->value, g_variant_unref);
    *odd = (FakeOddity){object, property, value ? g_variant_ref_sink(value) : NULL};
}

void bluetoothd_make_sound(void)
{
    for (unsigned i = 0; i < self->n_oddities; i++)
        g_clear_pointer(&self->oddities[i].value, g_variant_unref);
    memset(self->oddities, 0, sizeof self->oddities);
    self->n_oddities = 0;
    for (unsigned i = 0; i < FAKE_DEVICES; i++)
        self->devices[i].flags = 0;
}

void bluetoothd_end_rivals(void)
{
    for (unsigned i = 0; i < FAKE_DEVICES; i++) {
        FakeDevice *device = &self->devices[i];

        device->notifying = device->notifying && device->ours;
        device->connected = device->connected && device->ours;
        device->resolved = device->resolved && device->connected;
    }
}

/* ---- what it tells ------------------------------------------------------------------------- */

void bluetoothd_tell(const char *path, const char *iface, const char *property, GVariant *value)
{
    GVariantBuilder changed;

    g_variant_builder_init(&changed, G_VARIANT_TYPE_VARDICT);
    g_variant_builder_add(&changed, "{sv}", property, value);
    fake_signal(self->owner, path, PROPS_IFACE, "PropertiesChanged",
                g_variant_new("(sa{sv}as)", iface, &changed, NULL));
}

void bluetoothd_tell_added(unsigned object)
{
    g_autofree char *path = bluetoothd_object_path(object);

    fake_signal(self->owner, "/", MANAGER_IFACE, "InterfacesAdded",
                g_variant_new("(o@a{sa{sv}})", path, bluetoothd_interfaces(object)));
}

void bluetoothd_tell_removed(unsigned object)
{
    g_autofree char *path = bluetoothd_object_path(object);
    const char *interfaces[] = {interface_of(object), PROPS_IFACE, NULL};

    fake_signal(self->owner, "/", MANAGER_IFACE, "InterfacesRemoved",
                g_variant_new("(o^as)", path, interfaces));
}

void bluetoothd_restart(void)
{
    g_snprintf(self->owner, sizeof self->owner, ":1.%u", ++self->serial);
    self->runs = true;
    self->scanning = false;
    for (unsigned i = 0; i < FAKE_DEVICES; i++)
        self->devices[i].connected = self->devices[i].resolved = self->devices[i].has_services =
            self->devices[i].notifying = self->devices[i].ours = false;
}

void bluetoothd_tell_owner(void)
{
    self->told_watch = fake_watch();
    g_strlcpy(self->told, self->runs ? self->owner : "", sizeof self->told);
    fake_tell_owner(self->runs ? self->owner : NULL);
}

bool bluetoothd_is_known(void)
{
    return self->told_watch == fake_watch() &&
           strcmp(self->told, self->runs ? self->owner : "") == 0;
}

/** A discovery finds a device; services come up on a new link. */
bool bluetoothd_act(void)
{
    for (unsigned i = 0; i < FAKE_DEVICES; i++) {
        FakeDevice *device = &self->devices[i];

        if (self->scanning && !device->present) {
            device->present = true;
            bluetoothd_tell_added(FIRST_DEVICE + i);
            return true;
        }
        if (device->connected && !device->resolved) {
            device->has_services = device->resolved = true;
            bluetoothd_tell(device_paths[i], DEVICE_IFACE, "ServicesResolved",
                            g_variant_new_boolean(TRUE));
            return true;
        }
    }
    return false;
}

/* ---- what it is asked ---------------------------------------------------------------------- */

static bool is(const FakeCall *call, const char *method)
{
    return strcmp(call->method, method) == 0;
}

void bluetoothd_hear(const FakeCall *call)
{
    const int i = bluetoothd_find_device(call->path);
    FakeDevice *device = i < 0 ? NULL : &self->devices[i];

    if (strcmp(call->owner, self->owner) != 0)
        return;
    if (is(call, "StopDiscovery"))
        self->scanning = false;
    if (device && is(call, "StopNotify")) {
        device->stopped = device->ours;
        device->notifying = device->notifying && !device->ours;
        device->ours = false;
    }
    if (device && is(call, "WriteValue")) {
        g_autoptr(GVariant) value = g_variant_get_child_value(call->parameters, 0);
        gsize size;
        const guint8 *request = g_variant_get_fixed_array(value, &size, 1);

        device->asked = request[2];
    }
}

void bluetoothd_lose(unsigned i)
{
    FakeDevice *device = &self->devices[i];

    if (!device->connected)
        return;
    device->connected = device->resolved = device->notifying = device->ours = false;
    bluetoothd_tell(device_paths[i], DEVICE_IFACE, "ServicesResolved",
                    g_variant_new_boolean(FALSE));
    bluetoothd_tell(device_paths[i], DEVICE_IFACE, "Connected", g_variant_new_boolean(FALSE));
}

static void answer_device(FakeCall *call, FakeDevice *device, unsigned i)
{
    if (is(call, "Connect")) {
        device->connected = true;
        device->resolved = device->has_services;
        fake_reply(call, g_variant_new("()"));
    } else if (is(call, "Disconnect")) {
        fake_reply(call, g_variant_new("()"));
        bluetoothd_lose(i);
    } else if (is(call, "StopNotify") && !device->stopped) {
        fake_fail(call, "org.bluez.Error.Failed", "No notify session started");
    } else if (!device->connected) {
        fake_fail(call, "org.bluez.Error.Failed", "Not connected");
    } else {
        if (is(call, "StartNotify"))
            device->notifying = device->ours = true;
        fake_reply(call, g_variant_new("()"));
    }
}

static void answer_remove_device(FakeCall *call)
{
    const char *path;
    int i;

    g_variant_get(call->parameters, "(&o)", &path);
    i = bluetoothd_find_device(path);
    if (i < 0 || !self->devices[i].present) {
        fake_fail(call, "org.bluez.Error.DoesNotExist", "Does Not Exist");
        return;
    }
    fake_reply(call, g_variant_new("()"));
    bluetoothd_lose((unsigned)i);
    self->devices[i].present = self->devices[i].has_services = false;
    bluetoothd_tell_removed(FIRST_DEVICE + (unsigned)i);
}

static void answer_set(FakeCall *call)
{
    const unsigned adapter = strcmp(call->path, FUZZ_ADAPTER) == 0 ? 0 : 1;
    g_autoptr(GVariant) value = NULL;

    g_variant_get(call->parameters, "(ssv)", NULL, NULL, &value);
    if (!self->adapters[adapter].present) {
        fake_fail(call, "org.freedesktop.DBus.Error.UnknownObject", "no such object");
        return;
    }
    self->adapters[adapter].powered = g_variant_get_boolean(value);
    fake_reply(call, g_variant_new("()"));
    bluetoothd_tell(bluetoothd_adapter_path(adapter), ADAPTER_IFACE, "Powered", value);
}

void bluetoothd_answer(FakeCall *call)
{
    const int i = bluetoothd_find_device(call->path);

    if (strcmp(call->owner, self->owner) != 0 || !self->runs) {
        fake_fail(call, "org.freedesktop.DBus.Error.ServiceUnknown", "no such name");
    } else if (is(call, "GetManagedObjects")) {
        fake_reply(call, make_tree());
    } else if (is(call, "RemoveDevice")) {
        answer_remove_device(call);
    } else if (is(call, "Set")) {
        answer_set(call);
    } else if (i >= 0 && !self->devices[i].present) {
        fake_fail(call, "org.freedesktop.DBus.Error.UnknownObject", "no such object");
    } else if (i >= 0) {
        answer_device(call, &self->devices[i], (unsigned)i);
    } else {
        self->scanning = self->scanning || is(call, "StartDiscovery");
        fake_reply(call, g_variant_new("()"));
    }
}

/* ---- the boards ---------------------------------------------------------------------------- */

size_t board_answer(uint8_t reg, uint8_t *frame)
{
    static const uint8_t basic[] = {0x05, 0x32, 0xFF, 0x9C, 0x13, 0x88, 0x27, 0x10, 0x00,
                                    0x03, 0x2E, 0xB1, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
                                    0x2A, 0x48, 0x03, 0x04, 0x01, 0x0B, 0xA5};
    static const uint8_t cells[] = {0x0C, 0xFD, 0x0C, 0xFE, 0x0C, 0xFD, 0x0C, 0xFC};
    uint8_t payload[32] = {0};

    self->reading++;
    switch (reg) {
    case 0x03:
        memcpy(payload, basic, sizeof basic);
        payload[0] = (uint8_t)(self->reading >> 8);
        payload[1] = (uint8_t)self->reading;
        return make_frame(reg, 0, payload, sizeof basic, frame);
    case 0x04:
        memcpy(payload, cells, sizeof cells);
        payload[0] = (uint8_t)(self->reading >> 8);
        payload[1] = (uint8_t)self->reading;
        return make_frame(reg, 0, payload, sizeof cells, frame);
    case 0x05:
        return make_frame(reg, 0, (const uint8_t *)"JBD-SP04S034", 12, frame);
    case 0xAA:
        payload[1] = (uint8_t)self->reading;
        return make_frame(reg, 0, payload, 24, frame);
    default:
        return make_frame(reg, 0x80, NULL, 0, frame);
    }
}

void board_notify(unsigned device, const uint8_t *data, size_t size)
{
    g_autofree char *path = bluetoothd_char_path(device, true);

    bluetoothd_tell(path, CHAR_IFACE, "Value",
                    g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, data, size, 1));
}

bool board_act(void)
{
    for (unsigned i = 0; i < FAKE_DEVICES; i++) {
        FakeDevice *device = &self->devices[i];
        uint8_t frame[UINT8_MAX + 7];

        if (device->asked == 0 || !device->connected || !device->notifying)
            continue;

        const size_t size = board_answer(device->asked, frame);

        device->asked = 0;
        for (size_t at = 0; at < size; at += FAKE_CHUNK)
            board_notify(i, frame + at, MIN(size - at, FAKE_CHUNK));
        return true;
    }
    return false;
}

/* SPDX-License-Identifier: MIT */
#include "fake-bus.h"

#include <string.h>

enum { DEFAULT_TIMEOUT_MS = 25000, MAX_STEPS = 20000 };

typedef struct {
    guint id;
    gint64 due; /* G_MININT64 for an idle source */
    gint64 period;
    GSourceFunc function;
    gpointer user;
} Source;

typedef struct {
    guint id;
    GDBusConnection *bus;
    char *sender, *iface, *signal, *path, *arg0;
    GDBusSignalCallback callback;
    gpointer user;
} Subscription;

typedef struct {
    guint id;
    GDBusConnection *bus;
    GBusNameAppearedCallback appeared;
    GBusNameVanishedCallback vanished;
    gpointer user;
} Watch;

typedef struct {
    GCancellable *cancellable;
    GAsyncReadyCallback callback;
    gpointer user;
    GDBusConnection *bus; /* outcome */
    GError *error;
} Connecting;

static struct {
    FakeCalled called;
    gint64 now;
    guint last_id;
    GPtrArray *sources;       /* of Source, in the order in which they were made */
    GPtrArray *calls;         /* of FakeCall */
    GPtrArray *subscriptions; /* of Subscription */
    Watch watch;              /* .id is 0 while there is none */
    GPtrArray *connecting;    /* of Connecting; only the last one is not cancelled */
    GDBusConnection *bus;     /* owned */
    bool hung_up;
    guint n_buses; /* not finalised yet */
} fake;

/* ---- the wrapped functions: what src/ is linked with --------------------------------------- */

#define WRAPPED(name) __wrap_##name

gint64 WRAPPED(g_get_monotonic_time)(void);
guint WRAPPED(g_timeout_add)(guint ms, GSourceFunc function, gpointer user);
guint WRAPPED(g_timeout_add_seconds)(guint seconds, GSourceFunc function, gpointer user);
guint WRAPPED(g_idle_add)(GSourceFunc function, gpointer user);
gboolean WRAPPED(g_source_remove)(guint id);
void WRAPPED(log_debug)(const char *format, ...) G_GNUC_PRINTF(1, 2);
void WRAPPED(log_info)(const char *format, ...) G_GNUC_PRINTF(1, 2);
void WRAPPED(log_warn)(const char *format, ...) G_GNUC_PRINTF(1, 2);
void WRAPPED(log_error)(const char *format, ...) G_GNUC_PRINTF(1, 2);
char *WRAPPED(g_dbus_address_get_for_bus_sync)(GBusType type, GCancellable *cancellable,
                                               GError **error);
void WRAPPED(g_dbus_connection_new_for_address)(const char *address, GDBusConnectionFlags flags,
                                                GDBusAuthObserver *observer,
                                                GCancellable *cancellable,
                                                GAsyncReadyCallback callback, gpointer user);
GDBusConnection *WRAPPED(g_dbus_connection_new_for_address_finish)(GAsyncResult *result,
                                                                   GError **error);
gboolean WRAPPED(g_dbus_connection_is_closed)(GDBusConnection *bus);
void WRAPPED(g_dbus_connection_call)(GDBusConnection *bus, const char *name, const char *path,
                                     const char *iface, const char *method, GVariant *parameters,
                                     const GVariantType *reply_type, GDBusCallFlags flags,
                                     int timeout_ms, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer user);
GVariant *WRAPPED(g_dbus_connection_call_finish)(GDBusConnection *bus, GAsyncResult *result,
                                                 GError **error);
guint WRAPPED(g_dbus_connection_signal_subscribe)(GDBusConnection *bus, const char *sender,
                                                  const char *iface, const char *signal,
                                                  const char *path, const char *arg0,
                                                  GDBusSignalFlags flags,
                                                  GDBusSignalCallback callback, gpointer user,
                                                  GDestroyNotify destroy);
void WRAPPED(g_dbus_connection_signal_unsubscribe)(GDBusConnection *bus, guint id);
guint WRAPPED(g_bus_watch_name_on_connection)(GDBusConnection *bus, const char *name,
                                              GBusNameWatcherFlags flags,
                                              GBusNameAppearedCallback appeared,
                                              GBusNameVanishedCallback vanished, gpointer user,
                                              GDestroyNotify destroy);
void WRAPPED(g_bus_unwatch_name)(guint id);

/* ---- the log: written, so that its arguments are read, and thrown away ---------------------- */

static void format_away(const char *format, va_list arguments) G_GNUC_PRINTF(1, 0);
static void format_away(const char *format, va_list arguments)
{
    char line[1024];

    CHECK(g_vsnprintf(line, sizeof line, format, arguments) >= 0);
}

#define LOG_FUNCTION(name)                                                                         \
    void WRAPPED(name)(const char *format, ...)                                                    \
    {                                                                                              \
        va_list arguments;                                                                         \
                                                                                                   \
        va_start(arguments, format);                                                               \
        format_away(format, arguments);                                                            \
        va_end(arguments);                                                                         \
    }

LOG_FUNCTION(log_debug)
LOG_FUNCTION(log_info)
LOG_FUNCTION(log_warn)
LOG_FUNCTION(log_error)

/* ---- sources ------------------------------------------------------------------------------- */

gint64 fake_now(void)
{
    return fake.now;
}

gint64 WRAPPED(g_get_monotonic_time)(void)
{
    return fake.now;
}

static guint add_source(gint64 due, gint64 period, GSourceFunc function, gpointer user)
{
    Source *source = g_new(Source, 1);

    *source = (Source){++fake.last_id, due, period, function, user};
    g_ptr_array_add(fake.sources, source);
    return source->id;
}

guint WRAPPED(g_timeout_add)(guint ms, GSourceFunc function, gpointer user)
{
    return add_source(fake.now + ms * INT64_C(1000), ms * INT64_C(1000), function, user);
}

guint WRAPPED(g_timeout_add_seconds)(guint seconds, GSourceFunc function, gpointer user)
{
    return WRAPPED(g_timeout_add)(seconds * 1000, function, user);
}

guint WRAPPED(g_idle_add)(GSourceFunc function, gpointer user)
{
    return add_source(G_MININT64, 0, function, user);
}

static Source *find_source(guint id)
{
    for (guint i = 0; i < fake.sources->len; i++) {
        Source *source = fake.sources->pdata[i];

        if (source->id == id)
            return source;
    }
    return NULL;
}

gboolean WRAPPED(g_source_remove)(guint id)
{
    Source *source = find_source(id);

    CHECK(source); /* GLib would say "Source ID … was not found" */
    g_ptr_array_remove(fake.sources, source);
    return TRUE;
}

guint fake_call_at(gint64 when, GSourceFunc function, gpointer user)
{
    return add_source(MAX(when, fake.now), 0, function, user);
}

void fake_cancel_at(guint *id)
{
    if (*id && find_source(*id))
        WRAPPED(g_source_remove)(*id);
    *id = 0;
}

static Source *first_due(void)
{
    Source *first = NULL;

    for (guint i = 0; i < fake.sources->len; i++) {
        Source *source = fake.sources->pdata[i];

        if (!first || source->due < first->due)
            first = source;
    }
    return first;
}

static void run_source(Source *source)
{
    const guint id = source->id;
    const gboolean again = source->function(source->user);

    source = find_source(id); /* it may have removed itself */
    if (source && again)
        source->due = fake.now + MAX(source->period, 1);
    else if (source)
        g_ptr_array_remove(fake.sources, source);
}

/* ---- calls --------------------------------------------------------------------------------- */

static void call_free(gpointer data)
{
    FakeCall *call = data;

    g_object_unref(call->bus);
    g_free(call->owner);
    g_free(call->path);
    g_free(call->iface);
    g_free(call->method);
    g_clear_pointer(&call->parameters, g_variant_unref);
    g_clear_object(&call->cancellable);
    g_clear_pointer(&call->reply, g_variant_unref);
    g_clear_error(&call->error);
    g_free(call);
}

static gint64 deadline_of(int timeout_ms)
{
    if (timeout_ms == G_MAXINT)
        return G_MAXINT64;
    return fake.now + (timeout_ms < 0 ? DEFAULT_TIMEOUT_MS : timeout_ms) * INT64_C(1000);
}

void WRAPPED(g_dbus_connection_call)(GDBusConnection *bus, const char *name, const char *path,
                                     const char *iface, const char *method, GVariant *parameters,
                                     const GVariantType *reply_type, GDBusCallFlags flags,
                                     int timeout_ms, GCancellable *cancellable,
                                     GAsyncReadyCallback callback, gpointer user)
{
    FakeCall *call = g_new0(FakeCall, 1);

    CHECK(G_IS_DBUS_CONNECTION(bus));
    CHECK(name && g_dbus_is_unique_name(name));
    CHECK(path && g_variant_is_object_path(path));
    CHECK(iface && g_dbus_is_interface_name(iface));
    CHECK(method && g_dbus_is_member_name(method));
    CHECK(timeout_ms >= -1);
    CHECK(!parameters || g_variant_is_of_type(parameters, G_VARIANT_TYPE_TUPLE));
    CHECK(flags == G_DBUS_CALL_FLAGS_NO_AUTO_START);
    CHECK(callback || !cancellable);

    call->id = ++fake.last_id;
    call->bus = g_object_ref(bus);
    call->owner = g_strdup(name);
    call->path = g_strdup(path);
    call->iface = g_strdup(iface);
    call->method = g_strdup(method);
    call->parameters = parameters ? g_variant_ref_sink(parameters) : NULL;
    call->reply_type = reply_type;
    call->deadline = deadline_of(timeout_ms);
    call->cancellable = cancellable ? g_object_ref(cancellable) : NULL;
    call->callback = callback;
    call->user = user;
    if (!WRAPPED(g_dbus_connection_is_closed)(bus))
        fake.called(call);
    if (callback)
        g_ptr_array_add(fake.calls, call);
    else
        call_free(call);
}

GVariant *WRAPPED(g_dbus_connection_call_finish)(GDBusConnection *bus, GAsyncResult *result,
                                                 GError **error)
{
    FakeCall *call = (FakeCall *)(void *)result;

    CHECK(bus == call->bus);
    if (call->cancellable && g_cancellable_set_error_if_cancelled(call->cancellable, error))
        return NULL;
    if (call->error) {
        g_propagate_error(error, g_steal_pointer(&call->error));
        return NULL;
    }
    if (call->reply_type && !g_variant_is_of_type(call->reply, call->reply_type)) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
                    "Method \"%s\" returned type \"%s\"", call->method,
                    g_variant_get_type_string(call->reply));
        return NULL;
    }
    return g_steal_pointer(&call->reply);
}

guint fake_n_calls(void)
{
    return fake.calls->len;
}

FakeCall *fake_call(guint n)
{
    return fake.calls->pdata[n];
}

static void end_call(FakeCall *call)
{
    guint index;

    CHECK(g_ptr_array_find(fake.calls, call, &index));
    g_ptr_array_steal_index(fake.calls, index);
    call->callback(G_OBJECT(call->bus), (GAsyncResult *)(void *)call, call->user);
    call_free(call);
}

void fake_reply(FakeCall *call, GVariant *reply)
{
    call->reply = g_variant_ref_sink(reply);
    end_call(call);
}

void fake_fail(FakeCall *call, const char *error, const char *text)
{
    call->error = g_dbus_error_new_for_dbus_error(error, text);
    end_call(call);
}

static void fail_locally(FakeCall *call, GIOErrorEnum code, const char *text)
{
    call->error = g_error_new_literal(G_IO_ERROR, (int)code, text);
    end_call(call);
}

static FakeCall *find_cancelled(void)
{
    for (guint i = 0; i < fake.calls->len; i++) {
        FakeCall *call = fake.calls->pdata[i];

        if (call->cancellable && g_cancellable_is_cancelled(call->cancellable))
            return call;
    }
    return NULL;
}

static FakeCall *first_deadline(void)
{
    FakeCall *first = NULL;

    for (guint i = 0; i < fake.calls->len; i++) {
        FakeCall *call = fake.calls->pdata[i];

        if (!first || call->deadline < first->deadline)
            first = call;
    }
    return first;
}

/* ---- time ---------------------------------------------------------------------------------- */

void fake_settle(void)
{
    for (unsigned steps = 0;; steps++) {
        Source *source = first_due();
        FakeCall *call = find_cancelled();

        CHECK(steps < MAX_STEPS); /* it spins */
        if (call)
            end_call(call);
        else if (source && source->due == G_MININT64)
            run_source(source);
        else
            return;
    }
}

gint64 fake_next_due(void)
{
    const Source *source = first_due();
    const FakeCall *call = first_deadline();

    return MIN(source ? source->due : G_MAXINT64, call ? call->deadline : G_MAXINT64);
}

void fake_pass(gint64 us)
{
    const gint64 end = fake.now + us;

    fake_settle();
    for (unsigned steps = 0; fake_next_due() <= end; steps++) {
        FakeCall *call = first_deadline();
        Source *source = first_due();

        CHECK(steps < MAX_STEPS);
        fake.now = MAX(fake.now, fake_next_due());
        if (source && (!call || source->due <= call->deadline))
            run_source(source);
        else
            fail_locally(call, G_IO_ERROR_TIMED_OUT, "Timeout was reached");
        fake_settle();
    }
    fake.now = end;
}

void fake_stand_still(gint64 us)
{
    fake.now += us;
}

/* ---- the bus ------------------------------------------------------------------------------- */

char *WRAPPED(g_dbus_address_get_for_bus_sync)(GBusType type, GCancellable *cancellable,
                                               GError **error)
{
    (void)error;
    CHECK(type == G_BUS_TYPE_SYSTEM && !cancellable);
    return g_strdup("unix:path=/nowhere");
}

static void connecting_free(gpointer data)
{
    Connecting *connecting = data;

    g_clear_object(&connecting->cancellable);
    g_clear_object(&connecting->bus);
    g_clear_error(&connecting->error);
    g_free(connecting);
}

void WRAPPED(g_dbus_connection_new_for_address)(const char *address, GDBusConnectionFlags flags,
                                                GDBusAuthObserver *observer,
                                                GCancellable *cancellable,
                                                GAsyncReadyCallback callback, gpointer user)
{
    Connecting *connecting = g_new0(Connecting, 1);

    (void)flags, (void)observer;
    CHECK(g_dbus_is_address(address) && cancellable && callback);
    connecting->cancellable = g_object_ref(cancellable);
    connecting->callback = callback;
    connecting->user = user;
    g_ptr_array_add(fake.connecting, connecting);
}

GDBusConnection *WRAPPED(g_dbus_connection_new_for_address_finish)(GAsyncResult *result,
                                                                   GError **error)
{
    Connecting *connecting = (Connecting *)(void *)result;

    if (g_cancellable_set_error_if_cancelled(connecting->cancellable, error))
        return NULL;
    if (connecting->error)
        g_propagate_error(error, g_steal_pointer(&connecting->error));
    return g_steal_pointer(&connecting->bus);
}

bool fake_is_connecting(void)
{
    return fake.connecting->len > 0;
}

static void on_finalized(gpointer user, GObject *bus)
{
    (void)user, (void)bus;
    fake.n_buses--;
}

void fake_connect(bool succeeds)
{
    /* The oldest one: those before it were cancelled, and hear so. */
    Connecting *connecting = g_ptr_array_steal_index(fake.connecting, 0);

    if (g_cancellable_is_cancelled(connecting->cancellable) || !succeeds) {
        connecting->error =
            g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED, "Could not connect");
    } else {
        /* Never initialised, and so without a worker: only its type and its signal are of use. */
        CHECK(!fake.bus);
        fake.bus = g_object_new(G_TYPE_DBUS_CONNECTION, NULL);
        fake.hung_up = false;
        fake.n_buses++;
        g_object_weak_ref(G_OBJECT(fake.bus), on_finalized, NULL);
        connecting->bus = g_object_ref(fake.bus);
    }
    connecting->callback(NULL, (GAsyncResult *)(void *)connecting, connecting->user);
    connecting_free(connecting);
}

GDBusConnection *fake_bus(void)
{
    return fake.bus;
}

gboolean WRAPPED(g_dbus_connection_is_closed)(GDBusConnection *bus)
{
    return bus != fake.bus || fake.hung_up;
}

void fake_hang_up(void)
{
    fake.hung_up = true;
}

bool fake_has_hung_up(void)
{
    return fake.bus && fake.hung_up;
}

static void subscription_free(gpointer data)
{
    Subscription *subscription = data;

    g_free(subscription->sender);
    g_free(subscription->iface);
    g_free(subscription->signal);
    g_free(subscription->path);
    g_free(subscription->arg0);
    g_free(subscription);
}

static void drop_subscriptions(GDBusConnection *bus)
{
    for (guint i = fake.subscriptions->len; i > 0; i--) {
        const Subscription *subscription = fake.subscriptions->pdata[i - 1];

        if (subscription->bus == bus)
            g_ptr_array_remove_index(fake.subscriptions, i - 1);
    }
}

void fake_tell_closed(void)
{
    g_autoptr(GDBusConnection) bus = g_steal_pointer(&fake.bus);
    g_autoptr(GError) error =
        g_error_new_literal(G_IO_ERROR, G_IO_ERROR_CLOSED, "Underlying GIOStream was closed");

    for (guint i = fake.calls->len; i > 0 && i <= fake.calls->len; i--) {
        FakeCall *call = fake.calls->pdata[i - 1];

        if (call->bus == bus)
            fail_locally(call, G_IO_ERROR_CLOSED, "The connection is closed");
    }
    g_signal_emit_by_name(bus, "closed", FALSE, error);
    if (fake.watch.id && fake.watch.bus == bus)
        fake.watch.vanished(NULL, "org.bluez", fake.watch.user);
    drop_subscriptions(bus); /* as the connection does when the last one lets go of it */
}

guint WRAPPED(g_bus_watch_name_on_connection)(GDBusConnection *bus, const char *name,
                                              GBusNameWatcherFlags flags,
                                              GBusNameAppearedCallback appeared,
                                              GBusNameVanishedCallback vanished, gpointer user,
                                              GDestroyNotify destroy)
{
    CHECK(G_IS_DBUS_CONNECTION(bus) && strcmp(name, "org.bluez") == 0);
    CHECK(flags == G_BUS_NAME_WATCHER_FLAGS_NONE && appeared && vanished && !destroy);
    CHECK(fake.watch.id == 0);
    fake.watch = (Watch){++fake.last_id, bus, appeared, vanished, user};
    return fake.watch.id;
}

void WRAPPED(g_bus_unwatch_name)(guint id)
{
    CHECK(id != 0 && id == fake.watch.id);
    fake.watch = (Watch){0};
}

guint fake_watch(void)
{
    return fake.watch.id;
}

void fake_tell_owner(const char *owner)
{
    if (owner)
        fake.watch.appeared(fake.watch.bus, "org.bluez", owner, fake.watch.user);
    else
        fake.watch.vanished(fake.watch.bus, "org.bluez", fake.watch.user);
}

/* ---- signals ------------------------------------------------------------------------------- */

guint WRAPPED(g_dbus_connection_signal_subscribe)(GDBusConnection *bus, const char *sender,
                                                  const char *iface, const char *signal,
                                                  const char *path, const char *arg0,
                                                  GDBusSignalFlags flags,
                                                  GDBusSignalCallback callback, gpointer user,
                                                  GDestroyNotify destroy)
{
    Subscription *subscription = g_new(Subscription, 1);

    CHECK(G_IS_DBUS_CONNECTION(bus) && callback && !destroy);
    CHECK(flags == G_DBUS_SIGNAL_FLAGS_NONE);
    CHECK(sender && g_dbus_is_unique_name(sender));
    CHECK(!path || g_variant_is_object_path(path));
    *subscription = (Subscription){
        .id = ++fake.last_id,
        .bus = bus,
        .sender = g_strdup(sender),
        .iface = g_strdup(iface),
        .signal = g_strdup(signal),
        .path = g_strdup(path),
        .arg0 = g_strdup(arg0),
        .callback = callback,
        .user = user,
    };
    g_ptr_array_add(fake.subscriptions, subscription);
    return subscription->id;
}

static Subscription *find_subscription(guint id)
{
    for (guint i = 0; i < fake.subscriptions->len; i++) {
        Subscription *subscription = fake.subscriptions->pdata[i];

        if (subscription->id == id)
            return subscription;
    }
    return NULL;
}

void WRAPPED(g_dbus_connection_signal_unsubscribe)(GDBusConnection *bus, guint id)
{
    Subscription *subscription = find_subscription(id);

    CHECK(G_IS_DBUS_CONNECTION(bus));
    CHECK(subscription && subscription->bus == bus);
    g_ptr_array_remove(fake.subscriptions, subscription);
}

static bool fits(const char *wanted, const char *actual)
{
    return !wanted || g_strcmp0(wanted, actual) == 0;
}

static const char *first_argument(GVariant *parameters)
{
    g_autoptr(GVariant) first =
        g_variant_n_children(parameters) > 0 ? g_variant_get_child_value(parameters, 0) : NULL;

    /* Still valid when it is let go: it lies in its parent. */
    return first && g_variant_is_of_type(first, G_VARIANT_TYPE_STRING)
               ? g_variant_get_string(first, NULL)
               : NULL;
}

void fake_signal(const char *sender, const char *path, const char *iface, const char *signal,
                 GVariant *parameters)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(parameters);
    g_autoptr(GArray) fitting = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autofree char *arg0 = NULL;

    /* In one piece, so that what is taken out of it lies in it. */
    (void)g_variant_get_data(owned);
    arg0 = g_strdup(first_argument(owned));
    for (guint i = 0; i < fake.subscriptions->len; i++) {
        const Subscription *s = fake.subscriptions->pdata[i];

        if (s->bus == fake.bus && fits(s->sender, sender) && fits(s->iface, iface) &&
            fits(s->signal, signal) && fits(s->path, path) && fits(s->arg0, arg0))
            g_array_append_val(fitting, s->id);
    }
    for (guint i = 0; i < fitting->len; i++) {
        const Subscription *s = find_subscription(g_array_index(fitting, guint, i));

        if (s) /* not unsubscribed by one before it */
            s->callback(s->bus, sender, path, iface, signal, owned, s->user);
    }
}

/* ---- the world ----------------------------------------------------------------------------- */

void fake_begin(FakeCalled called)
{
    memset(&fake, 0, sizeof fake);
    fake.called = called;
    fake.now = 1000 * G_USEC_PER_SEC;
    fake.sources = g_ptr_array_new_with_free_func(g_free);
    fake.calls = g_ptr_array_new_with_free_func(call_free);
    fake.subscriptions = g_ptr_array_new_with_free_func(subscription_free);
    fake.connecting = g_ptr_array_new_with_free_func(connecting_free);
}

void fake_end(void)
{
    /* Callbacks of what was cancelled come when those whose they were are gone. */
    while (fake_is_connecting())
        fake_connect(false);
    fake_settle();
    CHECK(fake.calls->len == 0);
    CHECK(fake.sources->len == 0);
    CHECK(fake.watch.id == 0);
    CHECK(fake.subscriptions->len == 0);
    g_clear_object(&fake.bus);
    CHECK(fake.n_buses == 0);
    g_ptr_array_unref(fake.sources);
    g_ptr_array_unref(fake.calls);
    g_ptr_array_unref(fake.subscriptions);
    g_ptr_array_unref(fake.connecting);
}

/* SPDX-License-Identifier: MIT */
#include "check_ports.h"

#include "web.h"

#include <string.h>

/* One listen address. */
typedef struct {
    const char *address;
    GError *error; /* why it cannot be had, or NULL */
    gboolean ours; /* a bms-exporter serves there */
    char *metrics; /* what that serves, or NULL */
} Port;

struct CheckPorts {
    const char *metrics_path;
    GArray *ports;
    guint next; /* the one that is being looked at */
    guint idle; /* GLib source */
    void (*done)(void *user);
    void *user;
};

static void port_clear(gpointer data)
{
    Port *port = data;

    g_clear_error(&port->error);
    g_free(port->metrics);
}

/* ---- looking --------------------------------------------------------------------------------- */

static void look(CheckPorts *ports);

static Port *current(const CheckPorts *ports)
{
    return &g_array_index(ports->ports, Port, ports->next);
}

static void on_metrics(void *user, const char *answer)
{
    CheckPorts *ports = user;

    current(ports)->metrics = g_strdup(answer);
    ports->next++;
    look(ports);
}

static void on_page(void *user, const char *answer)
{
    CheckPorts *ports = user;
    Port *port = current(ports);

    port->ours = answer && strstr(answer, "bms-exporter");
    if (port->ours) {
        web_probe(port->address, ports->metrics_path, on_metrics, ports);
    } else {
        ports->next++;
        look(ports);
    }
}

static void look(CheckPorts *ports)
{
    for (; ports->next < ports->ports->len; ports->next++) {
        Port *port = current(ports);

        if (!web_try_listen(port->address, &port->error) &&
            g_error_matches(port->error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE)) {
            web_probe(port->address, "/", on_page, ports);
            return;
        }
    }
    ports->done(ports->user);
}

static gboolean on_begin(gpointer user)
{
    CheckPorts *ports = user;

    ports->idle = 0;
    look(ports);
    return G_SOURCE_REMOVE;
}

CheckPorts *check_ports_new(const Options *options, void (*done)(void *user), void *user)
{
    CheckPorts *ports = g_new0(CheckPorts, 1);

    ports->metrics_path = options->telemetry_path;
    ports->ports = g_array_new(FALSE, TRUE, sizeof(Port));
    g_array_set_clear_func(ports->ports, port_clear);
    for (char **address = options->listen; *address; address++) {
        const Port port = {.address = *address};

        g_array_append_val(ports->ports, port);
    }
    ports->done = done;
    ports->user = user;
    ports->idle = g_idle_add(on_begin, ports);
    return ports;
}

void check_ports_free(CheckPorts *ports)
{
    g_clear_handle_id(&ports->idle, g_source_remove);
    g_array_unref(ports->ports);
    g_free(ports);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void tell(const Port *port, Report *report)
{
    g_autofree char *detail = NULL;

    if (!port->error) {
        detail = g_strdup_printf("%s is free", port->address);
        report_ok(report, "port", detail);
    } else if (port->ours) {
        detail = g_strdup_printf("%s: a bms-exporter serves there already", port->address);
        report_note(report, "port", detail);
    } else if (g_error_matches(port->error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE)) {
        detail = g_strdup_printf("%s: taken by another program", port->address);
        report_wrong(report, "port", detail,
                     "\"sudo ss -ltnp\" shows which; stop it, or choose another "
                     "--web.listen-address");
    } else {
        report_wrong(report, "port", port->error->message, "choose another --web.listen-address");
    }
}

void check_ports_tell(const CheckPorts *ports, Report *report)
{
    for (guint i = 0; i < ports->ports->len; i++)
        tell(&g_array_index(ports->ports, Port, i), report);
}

/* ---- what a service says --------------------------------------------------------------------- */

/* The value of the line that begins with @a sample, which includes its labels. */
static gboolean is_one(char *const *lines, const char *sample)
{
    gsize length = strlen(sample);

    for (; *lines; lines++)
        if (strncmp(*lines, sample, length) == 0)
            return g_ascii_strtod(*lines + length, NULL) == 1;
    return FALSE;
}

/* The name that the metrics have for a battery, as they write it, or NULL. */
static char *name_of(char *const *lines, const char *address)
{
    static const char before[] = "bms_info{battery=\"";
    g_autofree char *after = g_strdup_printf("\",address=\"%s\"", address);

    for (; *lines; lines++) {
        const char *name = *lines + sizeof before - 1;
        const char *end;

        if (!g_str_has_prefix(*lines, before))
            continue;
        /* A quote in a name is written with a backslash, so this is not part of one. */
        end = strstr(name, after);
        if (end)
            return g_strndup(name, (gsize)(end - name));
    }
    return NULL;
}

static LinkFault fault_of(char *const *lines, const char *name)
{
    for (int fault = LINK_FAULT_NONE + 1; fault < LINK_N_FAULTS; fault++) {
        g_autofree char *sample = g_strdup_printf("bms_fault{battery=\"%s\",fault=\"%s\"} ", name,
                                                  link_fault_name((LinkFault)fault));

        if (is_one(lines, sample))
            return (LinkFault)fault;
    }
    return LINK_FAULT_NONE;
}

static ServiceView view(const char *metrics, const char *address, LinkFault *fault)
{
    g_auto(GStrv) lines = g_strsplit(metrics, "\n", -1);
    g_autofree char *name = name_of(lines, address);
    g_autofree char *up = NULL;

    if (!name)
        return SERVICE_UNKNOWN;
    up = g_strdup_printf("bms_up{battery=\"%s\"} ", name);
    if (is_one(lines, up))
        return SERVICE_READS;
    *fault = fault_of(lines, name);
    return SERVICE_FAILS;
}

ServiceView check_ports_view(const CheckPorts *ports, const char *address, const char **where,
                             LinkFault *fault)
{
    *where = NULL;
    *fault = LINK_FAULT_NONE;
    for (guint i = 0; i < ports->ports->len; i++) {
        const Port *port = &g_array_index(ports->ports, Port, i);
        ServiceView seen = port->metrics ? view(port->metrics, address, fault) : SERVICE_UNKNOWN;

        if (seen != SERVICE_UNKNOWN) {
            *where = port->address;
            return seen;
        }
    }
    return SERVICE_UNKNOWN;
}

/* SPDX-License-Identifier: MIT */
/*
 * Replies that are scripted by the name of the method: kept back for a while, refused, or with
 * something happening right behind them. What a bluetoothd does under load, and what races need to
 * be decided the same way each time.
 */
#include "sim.h"

#include <string.h>

#define HELD_MAX 1000

/* What is to be done with one method. */
struct rule {
    gboolean hold;
    gint64 refusals; /* left; below 0: all */
    char *error, *text;
    char *after;
};

struct held {
    char *method;
    GDBusMessage *reply;
};

struct script {
    struct sim *sim;
    GHashTable *rules; /* method -> struct rule */
    GQueue held;       /* of struct held */
    GQueue due;        /* of lines */
    guint idle;
};

static void rule_free(gpointer data)
{
    struct rule *rule = data;

    g_free(rule->error);
    g_free(rule->text);
    g_free(rule->after);
    g_free(rule);
}

static void held_free(gpointer data)
{
    struct held *held = data;

    g_free(held->method);
    g_object_unref(held->reply);
    g_free(held);
}

struct script *script_new(struct sim *sim)
{
    struct script *script = g_new0(struct script, 1);

    script->sim = sim;
    script->rules = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, rule_free);
    return script;
}

void script_drop(struct script *script)
{
    g_queue_clear_full(&script->held, held_free);
}

void script_free(struct script *script)
{
    script_drop(script);
    sim_cancel(&script->idle);
    g_queue_clear_full(&script->due, g_free);
    g_hash_table_unref(script->rules);
    g_free(script);
}

static struct rule *rule_of(struct script *script, const char *method)
{
    struct rule *rule = g_hash_table_lookup(script->rules, method);

    if (rule == NULL) {
        rule = g_new0(struct rule, 1);
        g_hash_table_insert(script->rules, g_strdup(method), rule);
    }
    return rule;
}

void script_hold(struct script *script, const char *method, gboolean on)
{
    GList *next;

    rule_of(script, method)->hold = on;
    for (GList *l = script->held.head; l != NULL && !on; l = next) {
        struct held *held = l->data;

        next = l->next;
        if (strcmp(held->method, method) == 0) {
            g_queue_delete_link(&script->held, l);
            bus_send(script->sim, held->reply);
            held_free(held);
        }
    }
}

void script_refuse(struct script *script, const char *method, const char *error, const char *text,
                   gint64 count)
{
    struct rule *rule = rule_of(script, method);

    g_free(rule->error);
    g_free(rule->text);
    rule->error = g_strdup(error);
    rule->text = g_strdup(text);
    rule->refusals = count;
}

void script_after(struct script *script, const char *method, const char *line)
{
    struct rule *rule = rule_of(script, method);

    g_free(rule->after);
    rule->after = g_strdup(line);
}

gboolean script_refuses(struct script *script, const char *method, char **error, char **text)
{
    struct rule *rule = g_hash_table_lookup(script->rules, method);

    if (rule == NULL || rule->refusals == 0) {
        return FALSE;
    }
    if (rule->refusals > 0) {
        rule->refusals--;
    }
    *error = g_strdup(rule->error);
    *text = g_strdup(rule->text);
    return TRUE;
}

void script_run_due(struct script *script)
{
    char *line;

    sim_cancel(&script->idle);
    while ((line = g_queue_pop_head(&script->due)) != NULL) {
        g_autofree char *answer = control_command(script->sim, line);

        control_event(script->sim, "after %s: %s", line, answer);
        g_free(line);
    }
}

static gboolean on_idle(gpointer data)
{
    struct script *script = data;

    script->idle = 0;
    script_run_due(script);
    return G_SOURCE_REMOVE;
}

gboolean script_keeps(struct script *script, GDBusMessage *call, GDBusMessage *reply)
{
    const char *method = g_dbus_message_get_member(call);
    struct rule *rule = g_hash_table_lookup(script->rules, method);
    struct held *held;

    if (rule == NULL) {
        return FALSE;
    }
    if (rule->hold && g_queue_get_length(&script->held) < HELD_MAX) {
        held = g_new0(struct held, 1);
        held->method = g_strdup(method);
        held->reply = g_object_ref(reply);
        g_queue_push_tail(&script->held, held);
        control_event(script->sim, "held %s", method);
        return TRUE;
    }
    if (rule->after != NULL) {
        /* Not from here: whoever replies may be in the middle of a change. A call that is being
         * answered at once runs it when it is done; the idle source is for the others. */
        g_queue_push_tail(&script->due, g_steal_pointer(&rule->after));
        if (script->idle == 0) {
            script->idle = g_idle_add_full(G_PRIORITY_HIGH, on_idle, script, NULL);
        }
    }
    return FALSE;
}

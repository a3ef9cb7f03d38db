/* SPDX-License-Identifier: MIT */
/*
 * The object tree as a whole: GetManagedObjects and Introspect.
 */
#include "sim.h"

#include <string.h>

typedef void (*visitor)(struct node, gpointer);

static void each_device(struct device *device, visitor visit, gpointer data)
{
    visit(tree_device(device), data);
    for (guint row = 0; row < GATT_ROWS; row++) {
        if (tree_row_exists(device, row)) {
            visit(tree_row(device, row), data);
        }
    }
}

static void each(struct sim *sim, visitor visit, gpointer data)
{
    for (guint i = 0; i < sim->adapters->len; i++) {
        struct adapter *adapter = sim->adapters->pdata[i];

        if (!adapter->present) {
            continue;
        }
        visit(tree_adapter(adapter), data);
        for (guint j = 0; j < adapter->devices->len; j++) {
            struct device *device = adapter->devices->pdata[j];

            if (device->exported) {
                each_device(device, visit, data);
            }
        }
    }
}

static void add_managed(struct node node, gpointer data)
{
    g_autofree char *path = tree_path(node);

    g_variant_builder_add(data, "{o@a{sa{sv}}}", path, tree_interfaces(node));
}

GVariant *tree_managed_objects(struct sim *sim)
{
    GVariantBuilder builder;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
    each(sim, add_managed, &builder);
    return g_variant_new("(a{oa{sa{sv}}})", &builder);
}

struct child_search {
    const char *path;
    GHashTable *children;
};

static void add_child(struct node node, gpointer data)
{
    const struct child_search *search = data;
    g_autofree char *path = tree_path(node);
    size_t length = strcmp(search->path, "/") == 0 ? 0 : strlen(search->path);

    if (strncmp(path, search->path, length) == 0 && path[length] == '/') {
        const char *name = path + length + 1;

        g_hash_table_add(search->children, g_strndup(name, strcspn(name, "/")));
    }
}

char *tree_introspect(struct sim *sim, const char *path)
{
    g_autoptr(GHashTable) children = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct child_search search = {path, children};
    const char *interface = tree_interface(tree_find(sim, path).kind);
    GString *xml = g_string_new("<node>\n");
    GHashTableIter iter;
    gpointer name;

    /* Enough to walk the tree by hand; the daemon never asks. */
    each(sim, add_child, &search);
    if (interface != NULL) {
        g_string_append_printf(xml, "  <interface name=\"%s\"/>\n", interface);
    }
    g_hash_table_iter_init(&iter, children);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_string_append_printf(xml, "  <node name=\"%s\"/>\n", (const char *)name);
    }
    g_string_append(xml, "</node>\n");
    return g_string_free(xml, FALSE);
}

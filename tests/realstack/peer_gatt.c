/* SPDX-License-Identifier: MIT */
/*
 * The attributes of a JBD module: Generic Access, Generic Attribute with Service Changed, and the
 * board's own service, which can be hidden or moved to other handles.
 */
#include "peer.h"

#include <string.h>

enum {
    READ = 0x02,
    WRITE_COMMAND = 0x04,
    WRITE = 0x08,
    NOTIFY = 0x10,
    INDICATE = 0x20,
};

enum {
    CHANGED_HANDLE = 8, /* of Service Changed; its CCC is the next one */
    /* From the first handle of the board's service. */
    NOTIFY_OFFSET = 2,
    WRITE_OFFSET = 5,
};

static void add(struct peer *peer, uint16_t handle, uint16_t type, const void *value, size_t length,
                bool readable)
{
    struct attribute *attribute = &peer->attribute[peer->attributes++];

    memset(attribute, 0, sizeof *attribute);
    attribute->handle = handle;
    attribute->type = type;
    attribute->length = (uint8_t)length;
    attribute->readable = readable;
    if (length > 0) {
        memcpy(attribute->value, value, length);
    }
}

static void add_service(struct peer *peer, uint16_t handle, uint16_t uuid)
{
    uint8_t value[] = {(uint8_t)(uuid & 0xFF), (uint8_t)(uuid >> 8)};

    add(peer, handle, GATT_PRIMARY, value, sizeof value, true);
}

/* The declaration and, behind it, the value. */
static void add_characteristic(struct peer *peer, uint16_t handle, uint16_t uuid, uint8_t flags,
                               const void *content, size_t length)
{
    uint16_t next = (uint16_t)(handle + 1);
    uint8_t value[] = {flags, (uint8_t)(next & 0xFF), (uint8_t)(next >> 8), (uint8_t)(uuid & 0xFF),
                       (uint8_t)(uuid >> 8)};

    add(peer, handle, GATT_CHARACTERISTIC, value, sizeof value, true);
    add(peer, next, uuid, content, length, (flags & READ) != 0);
}

static void add_ccc(struct peer *peer, uint16_t handle)
{
    add(peer, handle, GATT_CCC, "\0", 2, true);
}

void gatt_build(struct peer *peer, const char *name)
{
    size_t length = strlen(name);
    uint16_t base = peer->base;
    uint16_t uuid = (uint16_t)(peer->module == 0xFF ? 0xFF00 : 0xFFF0);

    peer->attributes = 0;
    add_service(peer, 1, 0x1800);
    add_characteristic(peer, 2, 0x2A00, READ, name, length > 20 ? 20 : length);
    add_characteristic(peer, 4, 0x2A01, READ, "\0", 2);
    add_service(peer, 6, 0x1801);
    add_characteristic(peer, CHANGED_HANDLE - 1, 0x2A05, INDICATE, NULL, 0);
    add_ccc(peer, CHANGED_HANDLE + 1);
    if (peer->hidden) {
        return;
    }
    add_service(peer, base, uuid);
    add_characteristic(peer, (uint16_t)(base + NOTIFY_OFFSET - 1), (uint16_t)(uuid + 1), NOTIFY,
                       NULL, 0);
    add_ccc(peer, (uint16_t)(base + NOTIFY_OFFSET + 1));
    add_characteristic(peer, (uint16_t)(base + WRITE_OFFSET - 1), (uint16_t)(uuid + 2),
                       WRITE | WRITE_COMMAND, NULL, 0);
}

struct attribute *gatt_find(struct peer *peer, uint16_t handle)
{
    for (size_t i = 0; i < peer->attributes; i++) {
        if (peer->attribute[i].handle == handle) {
            return &peer->attribute[i];
        }
    }
    return NULL;
}

uint16_t gatt_service_end(const struct peer *peer, size_t index)
{
    uint16_t end = peer->attribute[index].handle;

    for (size_t i = index + 1; i < peer->attributes; i++) {
        if (peer->attribute[i].type == GATT_PRIMARY) {
            break;
        }
        end = peer->attribute[i].handle;
    }
    return end;
}

uint16_t gatt_notify_handle(const struct peer *peer)
{
    return peer->hidden ? 0 : (uint16_t)(peer->base + NOTIFY_OFFSET);
}

uint16_t gatt_write_handle(const struct peer *peer)
{
    return peer->hidden ? 0 : (uint16_t)(peer->base + WRITE_OFFSET);
}

uint16_t gatt_changed_handle(void)
{
    return CHANGED_HANDLE;
}

/* SPDX-License-Identifier: MIT */
/*
 * bluetoothd and the boards behind it, as far as src/bluez talks to them: what they would do, when
 * they are asked to. When that is, and what happens instead, is up to the test.
 */
#ifndef BMS_FAKE_BLUETOOTHD_H
#define BMS_FAKE_BLUETOOTHD_H

#include "fake-bus.h"
#include "variants.h"

enum { FAKE_ADAPTERS = 2, FAKE_DEVICES = 2, FAKE_ODDITIES = 6, FAKE_CHUNK = 20 };

/** Things in the object tree that can be odd. */
enum { FAKE_OBJECTS = 2 * FAKE_DEVICES + FAKE_ADAPTERS + 2 * FAKE_DEVICES, FAKE_PROPERTIES = 4 };

typedef struct {
    bool present;
    bool connected;
    bool resolved;     /**< told as ServicesResolved */
    bool has_services; /**< their objects are there */
    bool notifying;
    bool ours;     /**< the notify session */
    bool stopped;  /**< the latest StopNotify has ended a session of ours */
    uint8_t flags; /**< of the characteristic that is written to, see write_flags */
    uint8_t asked; /**< register of the latest request, 0 for none */
} FakeDevice;

/** A property that is not what it should be. */
typedef struct {
    uint8_t object;
    uint8_t property;
    GVariant *value; /**< NULL if it is missing */
} FakeOddity;

typedef struct {
    bool runs;
    char owner[16];  /**< its unique name */
    unsigned serial; /**< of the latest one */
    char told[16];   /**< the owner that the latest watch was told of; "" for nobody */
    guint told_watch;
    struct {
        bool present, powered;
    } adapters[FAKE_ADAPTERS];
    bool scanning;
    FakeDevice devices[FAKE_DEVICES];
    FakeOddity oddities[FAKE_ODDITIES];
    unsigned n_oddities;
    uint16_t reading; /**< goes into each answer, so that no two are alike */
} FakeBluetoothd;

extern FakeBluetoothd fake_bluetoothd;

void bluetoothd_begin(void);
void bluetoothd_end(void);

const char *bluetoothd_adapter_path(unsigned adapter);
const char *bluetoothd_address(unsigned device);
char *bluetoothd_device_path(unsigned device);
char *bluetoothd_char_path(unsigned device, bool notify);

/** The device whose object, or one below it, is at @a path; −1 if it is none's. */
int bluetoothd_find_device(const char *path);

/** Properties, or with them the interfaces, of one object, floating. */
GVariant *bluetoothd_interfaces(unsigned object);
char *bluetoothd_object_path(unsigned object);

/** Makes a property odd. Takes over a floating @a value. */
void bluetoothd_make_odd(uint8_t object, uint8_t property, GVariant *value);
void bluetoothd_make_sound(void);

/** Other programs are no more: they neither read from the devices nor connect to them. */
void bluetoothd_end_rivals(void);

/** Tells the watch who owns the name. */
void bluetoothd_tell_owner(void);
/** Whether the watch knows what is true. */
bool bluetoothd_is_known(void);

/** Another bluetoothd takes the place of the one there was. Nobody is told. */
void bluetoothd_restart(void);

/** The link to a device breaks. */
void bluetoothd_lose(unsigned device);

/** What reaches bluetoothd whether it answers or not. */
void bluetoothd_hear(const FakeCall *call);

/** Answers as bluetoothd would. */
void bluetoothd_answer(FakeCall *call);

/** PropertiesChanged with one property. Takes over a floating @a value. */
void bluetoothd_tell(const char *path, const char *iface, const char *property, GVariant *value);
void bluetoothd_tell_added(unsigned object);
void bluetoothd_tell_removed(unsigned object);

/** Whether it has something to tell on its own, which it then does. */
bool bluetoothd_act(void);

/** The frame with which the board answers @a reg. @return its size */
size_t board_answer(uint8_t reg, uint8_t *frame);

/** A notification of @a device. */
void board_notify(unsigned device, const uint8_t *data, size_t size);

/** Whether a board has an answer to give, which it then does, in pieces. */
bool board_act(void);

#endif

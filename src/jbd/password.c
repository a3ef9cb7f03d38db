/* SPDX-License-Identifier: MIT */
/*
 * The requests of the password handshake.
 *
 * Its commands are those that a module understands before it lets anything through to the board.
 * Others with the same framing change the password or give more rights; they are not here, and so
 * cannot be sent.
 */
#include "jbd.h"

#include "wire.h"

#include <string.h>

enum {
    AT_COMMAND = 2,
    AT_SIZE = 3,
    AT_DATA = 4,
};

/* What every version of the vendor's app sends first. It is no secret. */
static const uint8_t app_key[JBD_PASSWORD_SIZE] = {'0', '0', '0', '0', '0', '0'};

static JbdStepRequest build(JbdStep step, const uint8_t *data, uint8_t size)
{
    JbdStepRequest request = {.size = (size_t)size + JBD_STEP_OVERHEAD};

    request.bytes[0] = WIRE_STEP_START;
    request.bytes[1] = WIRE_STEP_SECOND;
    request.bytes[AT_COMMAND] = (uint8_t)step;
    request.bytes[AT_SIZE] = size;
    if (size > 0)
        memcpy(request.bytes + AT_DATA, data, size);
    request.bytes[AT_DATA + size] = wire_step_sum(request.bytes + AT_COMMAND, (size_t)size + 2);
    return request;
}

JbdStepRequest jbd_step_key(void)
{
    return build(JBD_STEP_KEY, app_key, sizeof app_key);
}

JbdStepRequest jbd_step_random(void)
{
    return build(JBD_STEP_RANDOM, NULL, 0);
}

JbdStepRequest jbd_step_password(const uint8_t password[JBD_PASSWORD_SIZE],
                                 const uint8_t address[JBD_ADDRESS_SIZE], uint8_t random)
{
    uint8_t mixed[JBD_PASSWORD_SIZE];

    for (unsigned i = 0; i < sizeof mixed; i++)
        mixed[i] = (uint8_t)((address[i] ^ password[i]) + random);
    return build(JBD_STEP_PASSWORD, mixed, sizeof mixed);
}

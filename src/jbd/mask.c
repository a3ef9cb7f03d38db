/* SPDX-License-Identifier: MIT */
/* Which bytes on the wire would tell a password to somebody who reads them. */
#include "jbd.h"

#include "wire.h"

/* Command and length are the last of the bytes that a step begins with. */
enum { HEAD_SIZE = 4 };

static const uint8_t head[HEAD_SIZE] = {WIRE_STEP_START, WIRE_STEP_SECOND, JBD_STEP_PASSWORD,
                                        JBD_PASSWORD_SIZE};

bool jbd_mask_hides(JbdMask *mask, uint8_t byte)
{
    if (mask->left > 0) {
        mask->left--;
        return true;
    }
    if (byte != head[mask->matched])
        mask->matched = 0;
    if (byte == head[mask->matched])
        mask->matched++;
    if (mask->matched == HEAD_SIZE)
        *mask = (JbdMask){.left = JBD_PASSWORD_SIZE + 1}; /* the sum tells of the password too */
    return false;
}

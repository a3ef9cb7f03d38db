/* SPDX-License-Identifier: MIT */
#include "system.h"

#include <time.h>

gint64 system_boot_us(void)
{
    struct timespec time;

    if (clock_gettime(CLOCK_BOOTTIME, &time) != 0) /* Linux has it since 2.6.39 */
        return g_get_monotonic_time();
    return (gint64)time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

/* SPDX-License-Identifier: MIT */
/* Standard descriptors that whoever has started us left closed. */
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

gboolean system_open_standard_descriptors(void)
{
    /* A standard output that is not there stays an error to whoever writes to it: nothing can be
     * written to what is open for reading only. The log has nobody to tell of such an error. */
    static const int modes[] = {
        [STDIN_FILENO] = O_RDONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_RDWR};

    for (int fd = 0; fd < (int)G_N_ELEMENTS(modes); fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;

        int opened = open("/dev/null", modes[fd]);

        if (opened != fd) /* the lowest number that is free is this one, or there is none */
            return FALSE;
    }
    return TRUE;
}

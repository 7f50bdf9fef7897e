"""Start one program of an embedded server: in a session of its own, and as another user where that is needed.

A script of its own rather than a `preexec_fn`, because it runs between fork and exec and a process with threads
may not run Python there. It is called as

    python -I -S launcher.py MODE UID GID ACCESS PROGRAM [ARGUMENT...]

MODE    `detach`: come back at once; the program goes on alone, in a session of its own, so that Ctrl-C in a
        terminal reaches Clarion and not its servers. `stay`: become the program.
UID GID the user to become, or `-` `-` to stay who we are. PostgreSQL refuses to run as root.
ACCESS  `keep`: take CAP_DAC_OVERRIDE along, so that the user reaches folders that only root may enter (/root, a
        virtualenv under it, a temporary folder) without one permission on the disk being changed. Linux only.
        `drop`: do not.

Open files that are inheritable stay open: the program carries the lock that says it is alive (see `locks.py`).
"""

import os
import sys

CAP_DAC_OVERRIDE = 1  # linux/capability.h: pass permission checks on files and folders
CAPABILITY_VERSION_3 = 0x20080522
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2


def become(uid: int, gid: int, *, keep_access: bool) -> None:
    """Change to the user for good; keep_access: with CAP_DAC_OVERRIDE and no other capability."""
    if not keep_access:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
        return
    import ctypes  # noqa: PLC0415 - only root needs it

    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    os.setgroups([gid])
    os.setgid(gid)
    os.setuid(uid)
    # Two 64-bit sets, each split over two records of (effective, permitted, inheritable).
    bit = 1 << CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    records = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    check(libc.capset(header, records))
    # Ambient: the one set that a program without file capabilities still has after exec.
    check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


def main(arguments: list[str]) -> None:
    """Do as the module says. What goes wrong is written to stderr, which is the server's log."""
    mode, uid, gid, access, *command = arguments
    if mode == "detach":
        if os.fork() > 0:
            os._exit(0)
        os.setsid()
    try:
        if uid != "-":
            become(int(uid), int(gid), keep_access=access == "keep")
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted; the command is built by our own code
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])

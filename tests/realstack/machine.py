# SPDX-License-Identifier: MIT
"""
The virtual machine: what it is made of, and how it is booted.

Nothing is installed: packages are downloaded and unpacked, so that no bluetoothd starts on the
machine of whoever runs the tests. What that machine has installed already is used from there.
"""

import glob
import lzma
import os
import re
import shutil
import stat
import subprocess

PACKAGES = 'qemu-system-x86 bluez bluez-test-tools busybox-static kmod'.split()
MODULES = 'virtio_pci virtio_console cmac ecb algif_hash algif_skcipher rfkill hci_vhci'.split()

# What there is in the machine, beside busybox, modules and libraries.
PROGRAMS = ('/usr/bin/dbus-daemon', '/usr/lib/dbus-1.0/dbus-daemon-launch-helper', '/usr/bin/busctl',
            '/usr/bin/btvirt', '/usr/bin/btmon', '/usr/libexec/bluetooth/bluetoothd')
FILES = ('/usr/share/dbus-1/system.conf', '/etc/dbus-1/system.d/bluetooth.conf',
         '/usr/share/dbus-1/system-services/org.bluez.service', '/etc/bluetooth/main.conf')
ACCOUNTS = {
    '/etc/passwd': 'root:x:0:0::/root:/bin/sh\nmessagebus:x:101:101::/:/bin/false\n'
                   'nobody:x:65534:65534::/:/bin/false\n',
    '/etc/group': 'root:x:0:\nmessagebus:x:101:\nbluetooth:x:102:\nnogroup:x:65534:\n',
    '/etc/nsswitch.conf': 'passwd: files\ngroup: files\n',
    '/etc/machine-id': '0123456789abcdef0123456789abcdef\n',
}

HERE = os.path.dirname(os.path.abspath(__file__))


def output(*command, **settings):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **settings).stdout


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def unsigned(module):
    mark = b'~Module signature appended~\n'
    if not module.endswith(mark):
        return module
    # Before the mark: 12 bytes, the last four of which are the size of what is before them.
    size = int.from_bytes(module[-len(mark) - 4:-len(mark)], 'big')
    return module[:-len(mark) - 12 - size]


class Machine:
    """Lives in one directory, which is filled once. The kernel is a package's name, or None."""

    def __init__(self, directory, kernel=None):
        self.directory = directory
        self.kernel = kernel
        self.tools = self.path('tools')
        self.boots = self.path('kernel-' + (kernel or 'default'))
        # What was unpacked comes before what is installed.
        self.search = ':'.join([self.tools + each for each in ('/usr/bin', '/bin', '/sbin')] +
                               [os.environ.get('PATH', ''), '/usr/sbin:/sbin:/usr/bin:/bin'])

    @property
    def environment(self):
        libraries = glob.glob(self.tools + '/usr/lib/*-linux-gnu*') + \
            glob.glob(self.tools + '/lib/*-linux-gnu*')
        return dict(os.environ, LD_LIBRARY_PATH=':'.join(libraries))

    def path(self, name):
        return os.path.join(self.directory, name)

    def tool(self, name):
        found = shutil.which(name, path=self.search)
        if not found:
            raise SystemExit('%s is missing' % name)
        return found

    # ---- filling the directory -----------------------------------------------------------------

    def prepare(self):
        if not os.path.exists(self.tools):
            print('# fetching and unpacking QEMU and BlueZ (once)', flush=True)
            # What an installation would fetch, libraries included.
            self._unpack('tools', re.findall(r'(?m)^Inst (\S+)', output(
                'apt-get', '-s', 'install', '--no-install-recommends', *PACKAGES)))
        if not os.path.exists(self.boots):
            print('# fetching and unpacking the kernel (once)', flush=True)
            self._prepare_kernel()

    def _unpack(self, name, packages):
        """Downloads packages into a directory; it is there when all of it is."""
        debs, new = self.path('debs'), self.path(name + '.new')
        for each in debs, new:
            shutil.rmtree(each, ignore_errors=True)
            os.makedirs(each)
        if packages:
            output('apt-get', '-q', '-o', 'APT::Sandbox::User=root', 'download', *packages,
                   cwd=debs)
        for deb in glob.glob(debs + '/*.deb'):
            output('dpkg-deb', '-x', deb, new)
        os.rename(new, self.path(name))
        shutil.rmtree(debs)

    def _prepare_kernel(self):
        package = self.kernel
        if not package:
            # The newer one of this release: 6.1.192 falls over links that break early (README.md).
            # It comes with the security updates; the 6.1 of an apt without them is older than that.
            for each in 'linux-image-6.12-amd64', 'linux-image-amd64':
                depends = subprocess.run(['apt-cache', 'depends', each], stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL, text=True, check=False).stdout
                found = re.search(r'Depends: (linux-image-\S+)', depends)
                if found:
                    break
            else:
                raise SystemExit('apt knows no kernel; is "apt-get update" needed?')
            package = found[1]
        self._unpack('linux', [package])
        version = os.listdir(self.path('linux/lib/modules'))[0]
        new = self.boots + '.new'
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        self._write_kernel(version, new + '/vmlinux')
        self._write_modules(version, new + '/modules')
        os.rename(new, self.boots)
        shutil.rmtree(self.path('linux'))

    def _write_kernel(self, version, to):
        """Uncompressed: an emulated processor needs seconds to unpack it at each boot."""
        with open(self.path('linux/boot/vmlinuz-' + version), 'rb') as file:
            image = file.read()
        start = image.find(b'\xfd7zXZ\0')
        if start >= 0:
            image = lzma.LZMADecompressor().decompress(image[start:])
        with open(to, 'wb') as file:
            file.write(image)

    def _write_modules(self, version, to):
        """An archive of the modules, and of the order in which they are to be loaded."""
        root = self.path('linux')
        output(self.tool('depmod'), '-b', root, version)
        modules = {}
        for each in MODULES:
            shown = output(self.tool('modprobe'), '-d', root, '-S', version, '--show-depends', each)
            for path in re.findall(r'(?m)^insmod (\S+)', shown):
                with (lzma.open if path.endswith('.xz') else open)(path, 'rb') as file:
                    # Without its signature, which takes an emulated processor long to verify.
                    modules[os.path.basename(path).removesuffix('.xz')] = unsigned(file.read())
        archive = Archive(to)
        for name, content in modules.items():
            archive.add('/modules/' + name, content)
        archive.add('/modules/order', '\n'.join([*modules, '']).encode())
        archive.close()

    # ---- booting -------------------------------------------------------------------------------

    def _find(self, path):
        """A file of Debian's: unpacked, or installed."""
        for each in self.tools + path, self.tools + path.removeprefix('/usr'), path:
            if os.path.exists(each):
                return each
        raise SystemExit('%s is missing' % path)

    def _libraries(self, program):
        return re.findall(r'(/\S+) \(0x', output('ldd', program, env=self.environment))

    def write_image(self, to, programs):
        """
        All of the machine's files: it has no disk, and nothing of the host's but these. Programs
        are given as {path there: path here}.
        """
        archive = Archive(to)
        archive.add('/init', read(HERE + '/init'), 0o755)
        archive.add('/bin/busybox', read(self.tool('busybox')), 0o755)
        found = {path: self._find(path) for path in PROGRAMS}
        found.update(programs)
        libraries = {}
        for path, source in found.items():
            archive.add(path, read(source), 0o4755 if path.endswith('-helper') else 0o755)
            for library in self._libraries(source):
                libraries[os.path.basename(library)] = library
        for name, source in libraries.items():
            # The dynamic linker looks for libraries in /lib; for itself, there is but one place.
            where = '/lib64/' if name.startswith('ld-linux') else '/lib/'
            archive.add(where + name, read(source), 0o755)
        for path in FILES:
            archive.add(path, read(self._find(path)))
        for path, text in ACCOUNTS.items():
            archive.add(path, text.encode())
        archive.close()
        with open(to, 'ab') as file:
            file.write(read(self.boots + '/modules'))

    def boot(self, image, console, channel):
        """Starts it; returns the process. console is a file, channel a descriptor for the agent."""
        command = [
            self.tool('qemu-system-x86_64'), '-M', 'pc', '-cpu', 'max', '-m', '256', '-nic', 'none',
            # Time is what the processor has computed; when it has nothing to do, time leaps to the
            # next timer. 2 ns an instruction make it as fast as a small single-board computer.
            '-accel', 'tcg,thread=single', '-icount', 'shift=1,sleep=off', '-rtc', 'clock=vm',
            '-display', 'none', '-vga', 'none', '-no-reboot', '-monitor', 'none',
            '-serial', 'file:' + console, '-device', 'virtio-serial-pci',
            '-chardev', 'socket,id=agent,fd=%d' % channel,
            '-device', 'virtserialport,chardev=agent',
            '-kernel', self.boots + '/vmlinux', '-initrd', image,
            '-append', 'console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable '
                       'cryptomgr.notests rdinit=/init']
        for directory in (self.tools + '/usr/share/seabios', self.tools + '/usr/share/qemu'):
            if os.path.isdir(directory):
                command += ['-L', directory]
        return subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', '--'] + command,
                                env=self.environment, stdin=subprocess.DEVNULL, pass_fds=[channel])


class Archive:
    """A cpio archive in the kernel's format, uncompressed; directories are added as needed."""

    def __init__(self, path):
        self.file = open(path, 'wb')
        self.count = 0
        self.directories = {''}

    def add(self, path, content, permissions=0o644):
        self._add_directory(os.path.dirname(path))
        self._write(path, stat.S_IFREG | permissions, content)

    def _add_directory(self, path):
        path = path.rstrip('/')
        if path not in self.directories:
            self._add_directory(os.path.dirname(path))
            self.directories.add(path)
            self._write(path, stat.S_IFDIR | 0o755)

    def _write(self, path, mode, content=b''):
        self.count += 1
        name = path.lstrip('/')
        fields = (self.count, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        self.file.write(b'070701' + b''.join(b'%08x' % each for each in fields) +
                        name.encode() + b'\0')
        self._pad()
        self.file.write(content)
        self._pad()

    def _pad(self):
        self.file.write(bytes(-self.file.tell() % 4))

    def close(self):
        self._write('TRAILER!!!', 0)
        self.file.close()

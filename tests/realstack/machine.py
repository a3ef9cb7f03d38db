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
MODULES = ('virtio_pci 9pnet_virtio 9p cmac ecb algif_hash algif_skcipher rfkill hci_vhci').split()
HERE = os.path.dirname(os.path.abspath(__file__))


def output(*command, **settings):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **settings).stdout


class Machine:
    """Lives in one directory, which is filled once. The kernel is a package's name, or None."""

    def __init__(self, directory, kernel=None):
        self.directory = directory
        self.kernel = kernel
        self.tools = self.path('tools')
        self.boots = self.path('boot-' + (kernel or 'default'))
        # What was unpacked comes before what is installed.
        self.search = ':'.join([self.tools + each for each in ('/usr/bin', '/bin', '/sbin')] +
                               [os.environ.get('PATH', ''), '/usr/sbin:/sbin:/usr/bin:/bin'])

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
            found = re.search(r'Depends: (linux-image-\S+)',
                              output('apt-cache', 'depends', 'linux-image-6.12-amd64'))
            if not found:
                raise SystemExit('apt knows no kernel; is "apt-get update" needed?')
            package = found[1]
        self._unpack('kernel', [package])
        version = os.listdir(self.path('kernel/lib/modules'))[0]
        new = self.boots + '.new'
        shutil.rmtree(new, ignore_errors=True)
        os.makedirs(new)
        self._write_kernel(version, new + '/vmlinux')
        self._write_initrd(version, new + '/initrd.img')
        os.rename(new, self.boots)
        shutil.rmtree(self.path('kernel'))

    def _write_kernel(self, version, to):
        """Uncompressed: an emulated processor needs seconds to unpack it at each boot."""
        with open(self.path('kernel/boot/vmlinuz-' + version), 'rb') as file:
            image = file.read()
        start = image.find(b'\xfd7zXZ\0')
        if start >= 0:
            image = lzma.LZMADecompressor().decompress(image[start:])
        with open(to, 'wb') as file:
            file.write(image)

    def _write_initrd(self, version, to):
        """busybox, the modules, and the order in which they are to be loaded."""
        root = self.path('kernel')
        output(self.tool('depmod'), '-b', root, version)
        modules = {}
        for each in MODULES:
            shown = output(self.tool('modprobe'), '-d', root, '-S', version, '--show-depends', each)
            for path in re.findall(r'(?m)^insmod (\S+)', shown):
                with (lzma.open if path.endswith('.xz') else open)(path, 'rb') as file:
                    modules[os.path.basename(path).removesuffix('.xz')] = file.read()
        archive = Archive(to)
        for each in 'bin', 'modules', 'proc', 'sys', 'dev', 'root':
            archive.add(each, stat.S_IFDIR | 0o755)
        with open(self.tool('busybox'), 'rb') as file:
            archive.add('bin/busybox', stat.S_IFREG | 0o755, file.read())
        for name, content in modules.items():
            archive.add('modules/' + name, stat.S_IFREG | 0o644, content)
        archive.add('modules/order', stat.S_IFREG | 0o644, '\n'.join([*modules, '']).encode())
        with open(HERE + '/init', 'rb') as file:
            archive.add('init', stat.S_IFREG | 0o755, file.read())
        archive.close()

    # ---- booting -------------------------------------------------------------------------------

    def boot(self, repository, share, console, memory=448):
        """Starts it; returns the process. What it says on its console goes to a file."""
        libraries = glob.glob(self.tools + '/usr/lib/*-linux-gnu*') + \
            glob.glob(self.tools + '/lib/*-linux-gnu*')
        env = dict(os.environ, LD_LIBRARY_PATH=':'.join(libraries))
        command = [
            self.tool('qemu-system-x86_64'), '-M', 'pc', '-cpu', 'max', '-smp', '2',
            '-accel', 'tcg,thread=multi', '-m', str(memory), '-nic', 'none', '-display', 'none',
            '-vga', 'none', '-no-reboot', '-monitor', 'none', '-serial', 'file:' + console,
            '-kernel', self.boots + '/vmlinux', '-initrd', self.boots + '/initrd.img',
            '-append', 'console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable '
                       'cryptomgr.notests repository=' + repository + ' tools=' + self.tools]
        for directory in (self.tools + '/usr/share/seabios', self.tools + '/usr/share/qemu'):
            if os.path.isdir(directory):
                command += ['-L', directory]
        for tag, path, mode in (('machine', '/', ',readonly=on,multidevs=remap'),
                                ('share', share, '')):
            command += ['-fsdev', 'local,id=%s,path=%s,security_model=none%s' % (tag, path, mode),
                        '-device', 'virtio-9p-pci,fsdev=%s,mount_tag=%s' % (tag, tag)]
        return subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', '--'] + command, env=env,
                                stdin=subprocess.DEVNULL)


class Archive:
    """A cpio archive in the kernel's format, uncompressed."""

    def __init__(self, path):
        self.file = open(path, 'wb')
        self.count = 0

    def add(self, name, mode, content=b''):
        self.count += 1
        fields = (self.count, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        self.file.write(b'070701' + b''.join(b'%08x' % each for each in fields) +
                        name.encode() + b'\0')
        self._pad()
        self.file.write(content)
        self._pad()

    def _pad(self):
        self.file.write(bytes(-self.file.tell() % 4))

    def close(self):
        self.add('TRAILER!!!', 0)
        self.file.close()

# What every NixOS has, and what its own modules put on a path.
# See ../packages.nix for the columns.
p:
let
  coreutils = "[ b2sum base32 base64 basename basenc cat chcon chgrp chmod chown cksum comm cp csplit cut date dd df dir dircolors dirname du echo env expand expr factor false fmt fold groups head hostid id install join link ln logname ls md5sum mkdir mkfifo mknod mktemp mv nice nl nohup nproc numfmt od paste pathchk pinky pr printenv printf ptx pwd readlink realpath rm rmdir runcon sha1sum sha224sum sha256sum sha384sum sha512sum shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname unexpand uniq unlink users vdir wc who whoami yes sbin/chroot";
  systemd = "busctl coredumpctl hostnamectl journalctl kernel-install localectl loginctl networkctl resolvectl systemctl systemd-ac-power systemd-analyze systemd-ask-password systemd-cat systemd-cgls systemd-cgtop systemd-creds systemd-delta systemd-detect-virt systemd-escape systemd-firstboot systemd-id128 systemd-inhibit systemd-machine-id-setup systemd-mount systemd-notify systemd-path systemd-run systemd-socket-activate systemd-stdio-bridge systemd-sysusers systemd-tmpfiles systemd-tty-ask-password-agent systemd-umount timedatectl udevadm sbin/halt sbin/init sbin/poweroff sbin/reboot sbin/runlevel sbin/shutdown sbin/telinit";
  utilLinux = "cal=/usr/bin/ncal choom chrt col colcrt colrm column dmesg fallocate fincore findmnt flock getopt hardlink hexdump ionice ipcmk ipcrm ipcs irqtop last=/usr/bin/last lsblk lscpu lsfd lsipc lsirq lslocks lslogins lsmem lsns mcookie mesg more mount mountpoint namei nsenter partx prlimit rename=/usr/bin/rename.ul renice rev script scriptlive scriptreplay setarch setpriv setsid setterm su tailf=/usr/bin/tail taskset uclampset ul umount unshare utmpdump uuidgen uuidparse wall waitpid wdctl whereis write sbin/addpart sbin/agetty sbin/blkdiscard sbin/blkid sbin/blkzone sbin/blockdev sbin/chcpu sbin/chmem sbin/ctrlaltdel sbin/delpart sbin/fdisk sbin/findfs sbin/fsck sbin/fsfreeze sbin/fstrim sbin/hwclock sbin/isosize sbin/ldattach sbin/losetup sbin/mkfs sbin/mkswap sbin/nologin sbin/pivot_root sbin/readprofile sbin/resizepart sbin/rtcwake sbin/runuser sbin/sfdisk sbin/sulogin sbin/swaplabel sbin/swapoff sbin/swapon sbin/switch_root sbin/wipefs sbin/zramctl";
in
{
  acl = p "acl" "2.3.2" "acl" "chacl getfacl setfacl";
  attr = p "attr" "2.5.2" "attr" "attr getfattr setfattr";
  bash = p "bash-interactive" "5.3p9" "bash" "bash! sh=/usr/bin/bash";
  bashInteractive = p "bash-interactive" "5.3p9" "bash" "bash! sh=/usr/bin/bash";
  bashNonInteractive = p "bash" "5.3p9" "bash" "bash! sh=/usr/bin/bash";
  bash-completion = p "bash-completion" "2.17.0" "bash-completion" "";
  bc = p "bc" "1.08.2" "bc" "bc!";
  binutils = p "binutils-wrapper" "2.46" "binutils" "ar as ld nm objcopy objdump ranlib readelf size strings strip";
  bzip2 = p "bzip2" "1.0.8" "bzip2" "bunzip2 bzcat bzcmp bzdiff bzgrep bzip2 bzip2recover bzless bzmore";
  cacert = p "nss-cacert" "3.123" "ca-certificates" "";
  coreutils = p "coreutils" "9.11" "coreutils" coreutils;
  coreutils-full = p "coreutils-full" "9.11" "coreutils" coreutils;
  cpio = p "cpio" "2.15" "cpio" "cpio!";
  dash = p "dash" "0.5.13.3" "dash" "dash!";
  dbus = p "dbus" "1.16.2" "dbus" "dbus-cleanup-sockets dbus-daemon dbus-monitor dbus-run-session dbus-send dbus-update-activation-environment dbus-uuidgen";
  diffutils = p "diffutils" "3.12" "diffutils" "cmp diff diff3 sdiff";
  dosfstools = p "dosfstools" "4.2" "dosfstools" "sbin/fatlabel sbin/fsck.fat sbin/fsck.vfat sbin/mkfs.fat sbin/mkfs.vfat";
  e2fsprogs = p "e2fsprogs" "1.47.4" "e2fsprogs" "chattr lsattr sbin/badblocks sbin/debugfs sbin/dumpe2fs sbin/e2freefrag sbin/e2fsck sbin/e2image sbin/e2label sbin/filefrag sbin/fsck.ext2 sbin/fsck.ext3 sbin/fsck.ext4 sbin/mke2fs sbin/mkfs.ext2 sbin/mkfs.ext3 sbin/mkfs.ext4 sbin/resize2fs sbin/tune2fs";
  file = p "file" "5.47" "file" "file!";
  findutils = p "findutils" "4.10.0" "findutils" "find! xargs";
  gawk = p "gawk" "5.4.0" "gawk" "gawk! awk=/usr/bin/gawk";
  getconf = p "getconf-glibc" "2.42-67" "libc-bin" "getconf!";
  getent = p "getent-glibc" "2.42-67" "libc-bin" "getent!";
  glibc = p "glibc" "2.42-67" "libc-bin" "getconf getent ldd locale localedef sbin/ldconfig";
  glibcLocales = p "glibc-locales" "2.42-67" "locales" "";
  gnugrep = p "gnugrep" "3.12" "grep" "grep! egrep fgrep";
  gnupatch = p "patch" "2.8" "patch" "patch!";
  gnused = p "gnused" "4.9" "sed" "sed!";
  gnutar = p "gnutar" "1.35" "tar" "tar!";
  gzip = p "gzip" "1.14" "gzip" "gzip! gunzip uncompress zcat zcmp zdiff zegrep zfgrep zforce zgrep zless zmore znew";
  hostname = p "hostname-hostname-debian" "3.25" "hostname" "hostname! dnsdomainname domainname nisdomainname ypdomainname";
  kbd = p "kbd" "2.9.0" "kbd" "chvt dumpkeys fgconsole kbd_mode loadkeys openvt setfont setleds showkey";
  kexec-tools = p "kexec-tools" "2.0.32" "kexec-tools" "sbin/kexec!";
  keyutils = p "keyutils" "1.6.3" "keyutils" "keyctl sbin/request-key sbin/key.dns_resolver";
  kmod = p "kmod" "31" "kmod" "kmod sbin/depmod sbin/insmod sbin/lsmod sbin/modinfo sbin/modprobe sbin/rmmod";
  less = p "less" "692" "less" "less! lessecho lesskey";
  libcap = p "libcap" "2.77" "libcap2-bin" "capsh sbin/getcap sbin/getpcaps sbin/setcap";
  linux-pam = p "linux-pam" "1.7.1" "libpam-modules-bin" "sbin/faillock sbin/mkhomedir_helper sbin/unix_chkpwd";
  logrotate = p "logrotate" "3.22.0" "logrotate" "sbin/logrotate!";
  man-db = p "man-db" "2.13.1" "man-db" "man! apropos catman mandb manpath whatis";
  mkpasswd = p "mkpasswd" "5.6.6" "whois" "mkpasswd!";
  mount = p "mount-util-linux" "2.42" "mount" "mount!";
  ncurses = p "ncurses" "6.6" "ncurses-bin" "clear infocmp reset tabs tic toe tput tset";
  nix = p "nix" "2.34.7" "nix-bin" "nix! nix-build nix-channel nix-collect-garbage nix-copy-closure nix-daemon nix-env nix-hash nix-instantiate nix-prefetch-url nix-shell nix-store";
  nixos-rebuild = p "nixos-rebuild-ng" "26.11" "" "nixos-rebuild!=/usr/lib/offload-e2e/bin/nixos-rebuild";
  nixos-rebuild-ng = p "nixos-rebuild-ng" "26.11" "" "nixos-rebuild!=/usr/lib/offload-e2e/bin/nixos-rebuild";
  patch = p "patch" "2.8" "patch" "patch!";
  perl = p "perl" "5.42.0" "perl" "perl! prove pod2man pod2text shasum=/usr/bin/shasum";
  procps = p "procps" "4.0.6" "procps" "free pgrep pidwait pkill pmap ps pwdx slabtop sbin/sysctl tload top uptime vmstat w watch";
  psmisc = p "psmisc" "23.7" "psmisc" "fuser killall peekfd prtstat pslog pstree";
  shadow = p "shadow" "4.19.4" "passwd" "chage chfn chsh expiry faillog gpasswd login newgidmap newgrp newuidmap nologin=/usr/sbin/nologin passwd sbin/chgpasswd sbin/chpasswd sbin/groupadd sbin/groupdel sbin/groupmems sbin/groupmod sbin/grpck sbin/newusers sbin/pwck sbin/useradd sbin/userdel sbin/usermod sbin/vipw sg";
  su = p "shadow" "4.19.4" "util-linux" "su!";
  sudo = p "sudo" "1.9.17p2" "sudo" "sudo! cvtsudoers sudoedit sudoreplay sbin/visudo";
  systemd = p "systemd" "260.2" "systemd" systemd;
  systemdMinimal = p "systemd-minimal" "260.2" "systemd" systemd;
  time = p "time" "1.10" "time" "time!";
  tzdata = p "tzdata" "2026b" "tzdata" "";
  umount = p "umount-util-linux" "2.42" "mount" "umount!";
  util-linux = p "util-linux" "2.42" "util-linux" utilLinux;
  watch = p "watch-procps" "4.0.6" "procps" "watch!";
  which = p "which" "2.23" "debianutils" "which!";
  xz = p "xz" "5.8.3" "xz-utils" "xz! lzcat lzma unlzma unxz xzcat xzcmp xzdiff xzgrep xzless xzmore";
  zlib = p "zlib" "1.3.2" "zlib1g" "";
  zstd = p "zstd" "1.5.7" "zstd" "zstd! pzstd unzstd zstdcat zstdgrep zstdless zstdmt";
}

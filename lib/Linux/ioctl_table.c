/* The table of ioctl requests, by device class.
 *
 * PASS: the argument is a number, or points to data with one layout on i386 and x86-64. A request made with
 * _IOR or _IOWR says itself how much the kernel writes; for the others `written` does. NUMBER: the
 * request's own number holds the size of a long. CONVERT: ioctl_convert.c. */
#include "Linux/ioctl_table.h"

#include <linux/blkpg.h>
#include <linux/cdrom.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/if_tun.h>
#include <linux/kd.h>
#include <linux/loop.h>
#include <linux/rtc.h>
#include <linux/serial.h>
#include <linux/sockios.h>
#include <linux/vt.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <termios.h>

#define PASS(name, bytes)                                                                                    \
  { .request = (uint32_t)(name), .written = (bytes) }
#define NUMBER(guest, host, bytes)                                                                           \
  { .request = (guest), .host_request = (uint32_t)(host), .written = (bytes) }
#define CONVERT(name, with)                                                                                  \
  { .request = (uint32_t)(name), .function = (with) }

enum {
  KERNEL_TERMIOS = 36, /* <asm/termbits.h>, which glibc's struct termios is not */
  KERNEL_TERMIO = 18,
  KERNEL_SERIAL_COUNTS = 80,
};

static const struct ioctl_row rows[] = {
    /* Terminals: ioctl_tty(2) */
    PASS(TCGETS, KERNEL_TERMIOS),
    PASS(TCSETS, 0),
    PASS(TCSETSW, 0),
    PASS(TCSETSF, 0),
    PASS(TCGETA, KERNEL_TERMIO),
    PASS(TCSETA, 0),
    PASS(TCSETAW, 0),
    PASS(TCSETAF, 0),
    PASS(TCSBRK, 0),
    PASS(TCXONC, 0),
    PASS(TCFLSH, 0),
    PASS(TIOCEXCL, 0),
    PASS(TIOCNXCL, 0),
    PASS(TIOCSCTTY, 0),
    PASS(TIOCGPGRP, 4),
    PASS(TIOCSPGRP, 0),
    PASS(TIOCOUTQ, 4),
    PASS(TIOCSTI, 0),
    PASS(TIOCGWINSZ, 8),
    PASS(TIOCSWINSZ, 0),
    PASS(TIOCMGET, 4),
    PASS(TIOCMBIS, 0),
    PASS(TIOCMBIC, 0),
    PASS(TIOCMSET, 0),
    PASS(TIOCGSOFTCAR, 4),
    PASS(TIOCSSOFTCAR, 0),
    PASS(TIOCCONS, 0),
    PASS(TIOCPKT, 0),
    PASS(TIOCNOTTY, 0),
    PASS(TIOCSETD, 0),
    PASS(TIOCGETD, 4),
    PASS(TCSBRKP, 0),
    PASS(TIOCSBRK, 0),
    PASS(TIOCCBRK, 0),
    PASS(TIOCGSID, 4),
    PASS(0x802C542A /* TCGETS2 */, 0),
    PASS(0x402C542B /* TCSETS2 */, 0),
    PASS(0x402C542C /* TCSETSW2 */, 0),
    PASS(0x402C542D /* TCSETSF2 */, 0),
    PASS(TIOCGPTN, 0),
    PASS(TIOCSPTLCK, 0),
    PASS(TIOCGDEV, 0),
    PASS(TCGETX, 8),
    PASS(TCSETX, 0),
    PASS(TCSETXF, 0),
    PASS(TCSETXW, 0),
    PASS(TIOCSIG, 0),
    PASS(TIOCVHANGUP, 0),
    PASS(TIOCGPKT, 0),
    PASS(TIOCGPTLCK, 0),
    PASS(TIOCGEXCL, 0),
    PASS(TIOCGPTPEER, 0),
    PASS(TIOCGLCKTRMIOS, KERNEL_TERMIOS),
    PASS(TIOCSLCKTRMIOS, 0),
    PASS(TIOCSERGETLSR, 4),
    PASS(TIOCMIWAIT, 0),
    PASS(TIOCGICOUNT, KERNEL_SERIAL_COUNTS),
    CONVERT(TIOCGSERIAL, ioctl_serial),
    CONVERT(TIOCSSERIAL, ioctl_serial),

    /* Any descriptor */
    PASS(FIONREAD, 4),
    PASS(FIONBIO, 0),
    PASS(FIONCLEX, 0),
    PASS(FIOCLEX, 0),
    PASS(FIOASYNC, 0),
    PASS(FIOQSIZE, 8),

    /* Files and file systems: ioctl_iflags(2), ioctl_ficlone(2), ioctl_fideduperange(2) … */
    PASS(FIBMAP, 4),
    PASS(FIGETBSZ, 4),
    PASS(FIFREEZE, 0),
    PASS(FITHAW, 0),
    PASS(FITRIM, 0),
    PASS(FICLONE, 0),
    PASS(FICLONERANGE, 0),
    CONVERT(FIDEDUPERANGE, ioctl_dedupe),
    CONVERT(FS_IOC_FIEMAP, ioctl_extents),
    NUMBER(FS_IOC32_GETFLAGS, FS_IOC_GETFLAGS, 4),
    NUMBER(FS_IOC32_SETFLAGS, FS_IOC_SETFLAGS, 0),
    PASS(FS_IOC_GETFLAGS, 4), /* the kernel takes the 64-bit number from 32-bit programs too */
    PASS(FS_IOC_SETFLAGS, 0),
    NUMBER(FS_IOC32_GETVERSION, FS_IOC_GETVERSION, 4),
    NUMBER(FS_IOC32_SETVERSION, FS_IOC_SETVERSION, 0),
    PASS(FS_IOC_FSGETXATTR, 0),
    PASS(FS_IOC_FSSETXATTR, 0),
    PASS(FS_IOC_GETFSLABEL, 0),
    PASS(FS_IOC_SETFSLABEL, 0),

    /* Sockets and network interfaces: netdevice(7), tun */
    PASS(FIOSETOWN, 0),
    PASS(SIOCSPGRP, 0),
    PASS(FIOGETOWN, 4),
    PASS(SIOCGPGRP, 4),
    PASS(SIOCATMARK, 4),
    CONVERT(0x8906 /* SIOCGSTAMP_OLD */, ioctl_timeval),
    CONVERT(0x8907 /* SIOCGSTAMPNS_OLD */, ioctl_timespec),
    PASS(SIOCGSTAMP_NEW, 0),
    PASS(SIOCGSTAMPNS_NEW, 0),
    PASS(SIOCOUTQNSD, 4),
    CONVERT(SIOCGIFCONF, ioctl_interface_list),
    CONVERT(SIOCGIFNAME, ioctl_interface),
    CONVERT(SIOCGIFFLAGS, ioctl_interface),
    CONVERT(SIOCSIFFLAGS, ioctl_interface),
    CONVERT(SIOCGIFADDR, ioctl_interface),
    CONVERT(SIOCSIFADDR, ioctl_interface),
    CONVERT(SIOCGIFDSTADDR, ioctl_interface),
    CONVERT(SIOCSIFDSTADDR, ioctl_interface),
    CONVERT(SIOCGIFBRDADDR, ioctl_interface),
    CONVERT(SIOCSIFBRDADDR, ioctl_interface),
    CONVERT(SIOCGIFNETMASK, ioctl_interface),
    CONVERT(SIOCSIFNETMASK, ioctl_interface),
    CONVERT(SIOCGIFMETRIC, ioctl_interface),
    CONVERT(SIOCSIFMETRIC, ioctl_interface),
    CONVERT(SIOCGIFMTU, ioctl_interface),
    CONVERT(SIOCSIFMTU, ioctl_interface),
    CONVERT(SIOCSIFNAME, ioctl_interface),
    CONVERT(SIOCSIFHWADDR, ioctl_interface),
    CONVERT(SIOCGIFHWADDR, ioctl_interface),
    CONVERT(SIOCSIFHWBROADCAST, ioctl_interface),
    CONVERT(SIOCGIFINDEX, ioctl_interface),
    CONVERT(SIOCGIFPFLAGS, ioctl_interface),
    CONVERT(SIOCSIFPFLAGS, ioctl_interface),
    CONVERT(SIOCADDMULTI, ioctl_interface),
    CONVERT(SIOCDELMULTI, ioctl_interface),
    CONVERT(SIOCGIFTXQLEN, ioctl_interface),
    CONVERT(SIOCSIFTXQLEN, ioctl_interface),
    CONVERT(SIOCGMIIPHY, ioctl_interface),
    CONVERT(SIOCGMIIREG, ioctl_interface),
    CONVERT(SIOCGIFMAP, ioctl_interface_map),
    CONVERT(SIOCSIFMAP, ioctl_interface_map),
    CONVERT(SIOCETHTOOL, ioctl_interface_pointer),
    CONVERT(SIOCADDRT, ioctl_route),
    CONVERT(SIOCDELRT, ioctl_route),
    PASS(SIOCGARP, 68),
    PASS(SIOCSARP, 0),
    PASS(SIOCDARP, 0),
    CONVERT(TUNSETIFF, ioctl_interface),
    CONVERT(TUNGETIFF, ioctl_interface),
    PASS(TUNSETNOCSUM, 0),
    PASS(TUNSETPERSIST, 0),
    PASS(TUNSETOWNER, 0),
    PASS(TUNSETGROUP, 0),
    PASS(TUNSETLINK, 0),
    PASS(TUNSETOFFLOAD, 0),
    PASS(TUNGETFEATURES, 0),
    PASS(TUNGETSNDBUF, 0),
    PASS(TUNSETSNDBUF, 0),
    PASS(TUNGETVNETHDRSZ, 0),
    PASS(TUNSETVNETHDRSZ, 0),

    /* Block devices, disks, loop devices, CD-ROMs */
    PASS(BLKROSET, 0),
    PASS(BLKROGET, 4),
    PASS(BLKRRPART, 0),
    PASS(BLKFLSBUF, 0),
    PASS(BLKRASET, 0),
    PASS(BLKFRASET, 0),
    PASS(BLKSECTGET, 2),
    PASS(BLKSSZGET, 4),
    CONVERT(BLKGETSIZE, ioctl_unsigned_long),
    CONVERT(BLKRAGET, ioctl_unsigned_long),
    CONVERT(BLKFRAGET, ioctl_unsigned_long),
    NUMBER(_IOR(0x12, 112, int32_t), BLKBSZGET, 4),
    NUMBER(_IOW(0x12, 113, int32_t), BLKBSZSET, 0),
    NUMBER(_IOR(0x12, 114, int32_t), BLKGETSIZE64, 8),
    PASS(BLKDISCARD, 0),
    PASS(BLKSECDISCARD, 0),
    PASS(BLKZEROOUT, 0),
    PASS(BLKIOMIN, 4),
    PASS(BLKIOOPT, 4),
    PASS(BLKALIGNOFF, 4),
    PASS(BLKPBSZGET, 4),
    PASS(BLKDISCARDZEROES, 4),
    PASS(BLKROTATIONAL, 2),
    CONVERT(HDIO_GETGEO, ioctl_disk_geometry),
    PASS(LOOP_SET_FD, 0),
    PASS(LOOP_CLR_FD, 0),
    PASS(LOOP_SET_STATUS64, 0),
    PASS(LOOP_GET_STATUS64, sizeof(struct loop_info64)),
    PASS(LOOP_CHANGE_FD, 0),
    PASS(LOOP_SET_CAPACITY, 0),
    PASS(LOOP_SET_DIRECT_IO, 0),
    PASS(LOOP_SET_BLOCK_SIZE, 0),
    PASS(LOOP_CONFIGURE, 0),
    PASS(LOOP_CTL_ADD, 0),
    PASS(LOOP_CTL_REMOVE, 0),
    PASS(LOOP_CTL_GET_FREE, 0),
    PASS(CDROMEJECT, 0),
    PASS(CDROMCLOSETRAY, 0),
    PASS(CDROMREADTOCHDR, sizeof(struct cdrom_tochdr)),
    PASS(CDROMREADTOCENTRY, sizeof(struct cdrom_tocentry)),
    PASS(CDROM_GET_CAPABILITY, 0),
    PASS(CDROM_DRIVE_STATUS, 0),
    PASS(CDROM_DISC_STATUS, 0),
    PASS(CDROM_LOCKDOOR, 0),

    /* The console and virtual terminals: ioctl_console(2) */
    PASS(KDGETLED, 1),
    PASS(KDSETLED, 0),
    PASS(KDGKBTYPE, 1),
    PASS(KIOCSOUND, 0),
    PASS(KDMKTONE, 0),
    PASS(KDGETMODE, 4),
    PASS(KDSETMODE, 0),
    PASS(KDGKBMODE, 4),
    PASS(KDSKBMODE, 0),
    PASS(KDGKBLED, 1),
    PASS(KDSKBLED, 0),
    PASS(VT_OPENQRY, 4),
    PASS(VT_GETMODE, sizeof(struct vt_mode)),
    PASS(VT_SETMODE, 0),
    PASS(VT_GETSTATE, sizeof(struct vt_stat)),
    PASS(VT_RELDISP, 0),
    PASS(VT_ACTIVATE, 0),
    PASS(VT_WAITACTIVE, 0),
    PASS(VT_DISALLOCATE, 0),

    /* The real-time clock: rtc(4) */
    PASS(RTC_AIE_ON, 0),
    PASS(RTC_AIE_OFF, 0),
    PASS(RTC_UIE_ON, 0),
    PASS(RTC_UIE_OFF, 0),
    PASS(RTC_PIE_ON, 0),
    PASS(RTC_PIE_OFF, 0),
    PASS(RTC_ALM_SET, 0),
    PASS(RTC_ALM_READ, 0),
    PASS(RTC_RD_TIME, 0),
    PASS(RTC_SET_TIME, 0),
    PASS(RTC_WKALM_SET, 0),
    PASS(RTC_WKALM_RD, 0),
};

/* Whole classes in which no data holds a long or a pointer, and many requests carry a length of the
 * caller's choice: input devices, the random device, name spaces. */
static const uint8_t uniform_types[] = {'E', 'R', 0xB7};

const struct ioctl_row *ioctl_find(uint32_t request) {
  static const struct ioctl_row as_it_is = {0};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (rows[i].request == request)
      return &rows[i];
  for (size_t i = 0; i < sizeof uniform_types; i++)
    if (_IOC_TYPE(request) == uniform_types[i])
      return &as_it_is;
  return NULL;
}

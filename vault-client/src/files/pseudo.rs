//! File systems that hold no files, only what the kernel has to say.
//!
//! Read, they would end up in a backup as lies (a size of 0 or 4,096 for
//! whatever comes), some of them without an end, and restored they are of no
//! use to anybody.

/// What `statfs` says of them (`linux/magic.h`, and each one's source).
const MAGIC: [u32; 22] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x6265_6570, // configfs
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0xcafe_4a11, // bpf
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup 2
    0x0000_1cd1, // devpts
    0x1980_0202, // mqueue
    0x9584_58f6, // hugetlbfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x5a3c_69f0, // apparmorfs
    0x4249_4e4d, // binfmt_misc
    0x6573_5543, // fusectl
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
    0x6e73_6673, // nsfs
];

const TMPFS: u32 = 0x0102_1994;

/// Where a tmpfs (or devtmpfs, which says that it is one) holds devices, sockets
/// and locks of what runs. Anywhere else it may hold what somebody works on.
const VOLATILE: [&[u8]; 2] = [b"/dev", b"/run"];

/// Whether a file system of this kind, mounted at `path`, holds nothing to be
/// saved.
pub(super) fn is_pseudo(magic: u32, path: &[u8]) -> bool {
    MAGIC.contains(&magic) || (magic == TMPFS && VOLATILE.contains(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tmpfs_is_pseudo_only_where_nobody_works() {
        assert!(is_pseudo(TMPFS, b"/dev") && is_pseudo(TMPFS, b"/run"));
        assert!(!is_pseudo(TMPFS, b"/tmp") && !is_pseudo(TMPFS, b"/home/dev"));
    }

    #[test]
    fn file_systems_that_hold_files_are_none() {
        for ext4_btrfs_xfs_nfs in [0xef53, 0x9123_683e, 0x5846_5342, 0x6969] {
            assert!(!is_pseudo(ext4_btrfs_xfs_nfs, b"/dev"));
        }
    }
}

//! A loss of power: of what was not synced an arbitrary part is there afterwards.

use super::{Change, Disk};

/// Of a write that was not synced, each of these reaches the disk or not by itself.
const SECTOR_BYTES: usize = 16;

impl Disk {
    pub fn lose_power(&mut self) {
        for entry in std::mem::take(&mut self.unsynced) {
            if self.below(2) == 0 {
                entry.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        for i in 0..self.inodes.len() {
            let unsynced = std::mem::take(&mut self.inodes[i].unsynced);
            let landed = self.landed(unsynced);
            let inode = &mut self.inodes[i];
            landed.iter().for_each(|change| change.apply(&mut inode.durable));
            inode.seen.clone_from(&inode.durable);
        }
    }

    /// What of the changes reached the disk: nothing, all, a prefix of the bytes, or sectors here and there.
    fn landed(&mut self, changes: Vec<Change>) -> Vec<Change> {
        match self.below(4) {
            0 => Vec::new(),
            1 => changes,
            2 => {
                let bytes = |c: &Change| if let Change::Write { bytes, .. } = c { bytes.len() } else { 0 };
                let mut left = self.below(changes.iter().map(bytes).sum::<usize>() + 1);
                let mut landed = Vec::new();
                for mut change in changes {
                    let all = bytes(&change);
                    if let Change::Write { bytes, .. } = &mut change {
                        bytes.truncate(left);
                    }
                    landed.push(change);
                    if all >= left {
                        break;
                    }
                    left -= all;
                }
                landed
            }
            _ => {
                let mut landed = Vec::new();
                for change in changes {
                    let Change::Write { at, bytes } = change else {
                        if self.below(2) == 0 {
                            landed.push(change);
                        }
                        continue;
                    };
                    for (i, sector) in bytes.chunks(SECTOR_BYTES).enumerate() {
                        if self.below(2) == 0 {
                            landed.push(Change::Write { at: at + i * SECTOR_BYTES, bytes: sector.to_vec() });
                        }
                    }
                }
                landed
            }
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): a test's failure must come again from its seed.
    pub fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % (n.max(1) as u64)) as usize
    }
}

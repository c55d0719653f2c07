//! Pages on disk, so that a prefix outlives its eviction and the process. A page's file holds its tokens and what came before them;
//! a name that does not fit its content is not believed. Writing is done by a thread of its own. It knows no blocks.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::tokens::chain;

/// Most pages kept.
const PAGES_MAX: usize = 65_536;
/// Pages that may wait to be written; more are not kept.
const WAITING_MAX: usize = 4_096;
/// What every file begins with.
const MAGIC: &[u8; 8] = b"kvpage1\n";
/// Largest file that is read.
const FILE_MAX: u64 = 1024 * 1024;

/// The folder.
#[derive(Debug)]
pub(super) struct Disk {
    known: HashSet<u64>,
    folder: PathBuf,
    orders: Option<SyncSender<Order>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Write { digest: u64, bytes: Vec<u8> },
    Clear(Vec<u64>),
}

impl Disk {
    /// Opens the folder, makes it if need be, and reads what is there.
    pub(super) fn open(folder: &Path, block_tokens: usize) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut known = HashSet::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if known.len() < PAGES_MAX
                && let Some(digest) = digest_of(&path, block_tokens)
            {
                known.insert(digest);
            }
        }
        let (orders, taken) = sync_channel(WAITING_MAX);
        let into = folder.to_owned();
        let writer = std::thread::Builder::new()
            .name("cache-writer".to_owned())
            .spawn(move || write_all(&into, &taken))?;
        Ok(Self {
            known,
            folder: folder.to_owned(),
            orders: Some(orders),
            writer: Some(writer),
        })
    }

    /// Pages in the folder.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether that page can be reloaded: it must still be there.
    pub(super) fn has(&self, digest: u64) -> bool {
        self.known.contains(&digest) && file(&self.folder, digest).is_file()
    }

    /// Keeps a page, if there is room.
    pub(super) fn write(&mut self, digest: u64, before: u64, tokens: &[u32]) {
        if self.known.len() >= PAGES_MAX || self.known.contains(&digest) {
            return;
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend(before.to_le_bytes());
        bytes.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
        let sent = self
            .orders
            .as_ref()
            .is_some_and(|orders| orders.try_send(Order::Write { digest, bytes }).is_ok());
        if sent {
            self.known.insert(digest);
        }
    }

    /// Removes every page.
    pub(super) fn clear(&mut self) {
        let all = self.known.drain().collect();
        if let Some(orders) = &self.orders {
            // It fails only when the writer is gone.
            let _ = orders.send(Order::Clear(all));
        }
    }
}

impl Drop for Disk {
    /// What waits is written before the process may end.
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

fn write_all(folder: &Path, orders: &Receiver<Order>) {
    for order in orders {
        match order {
            Order::Write { digest, bytes } => {
                let path = file(folder, digest);
                let draft = path.with_extension("draft");
                // A page that cannot be written is one that was never kept.
                if std::fs::write(&draft, bytes).is_ok() {
                    let _ = std::fs::rename(&draft, &path);
                }
            }
            Order::Clear(all) => {
                for digest in all {
                    // One that is gone already is as good.
                    let _ = std::fs::remove_file(file(folder, digest));
                }
            }
        }
    }
}

fn file(folder: &Path, digest: u64) -> PathBuf {
    folder.join(format!("{digest:016x}.kv"))
}

/// The digest in a file's name, if its content has it.
fn digest_of(path: &Path, block_tokens: usize) -> Option<u64> {
    if path.extension()? != "kv" || std::fs::metadata(path).ok()?.len() > FILE_MAX {
        return None;
    }
    let named = u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok()?;
    let bytes = std::fs::read(path).ok()?;
    let (before, tokens) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<8>()?;
    let (tokens, rest) = tokens.as_chunks::<4>();
    let tokens: Vec<u32> = tokens.iter().map(|token| u32::from_le_bytes(*token)).collect();
    let fits = rest.is_empty()
        && tokens.len() == block_tokens
        && chain(u64::from_le_bytes(*before), &tokens) == named;
    fits.then_some(named)
}

#[cfg(test)]
mod tests {
    use super::super::pool::Pool;
    use super::*;

    #[test]
    fn pages_outlive_the_pool_and_forgeries_are_not_believed() {
        let folder = std::env::temp_dir().join(format!("kv-pages-{}", std::process::id()));
        let tokens: Vec<u32> = (20..29).collect();
        let open = || Pool::new(60, 3, 4, Some(Disk::open(&folder, 4).unwrap()));
        let mut pool = open();
        let (mut hold, _) = pool.admit(&tokens, true).unwrap();
        pool.seal(&mut hold, &tokens, 9);
        pool.release(hold);
        drop(pool);
        let first = chain(0, &tokens[..4]);
        std::fs::write(file(&folder, 7), b"kvpage1\nnonsense").unwrap();
        std::fs::copy(file(&folder, first), file(&folder, 8)).unwrap();
        let mut pool = open();
        assert_eq!(pool.standing().on_disk, 2);
        let (hold, found) = pool.admit(&tokens, true).unwrap();
        assert_eq!((found.tokens, found.reloaded), (8, 8));
        pool.release(hold);
        pool.clear();
        drop(pool);
        assert_eq!(open().standing().on_disk, 0);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

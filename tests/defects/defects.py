"""Mistakes somebody could make in the collector, each as one small change of its source.

A defect has a name, the file it is in, the text it replaces (which must occur exactly once), the text it puts there, what it breaks, and the
checks it is put to.
"""

from dataclasses import dataclass, field


@dataclass
class Defect:
    name: str
    file: str
    old: str
    new: str
    breaks: str
    checks: list[str] = field(default_factory=list)
    # The defect is a race that a check may miss: repeat the check while its two minutes last.
    patience: bool = False


DEFECTS = [
    # ---- ordering, arming, rounds, pause ------------------------------------------------------------------------------
    Defect(
        "mark-before-arming",
        "gc/src/cycle/mod.rs",
        "        let (armed, _) = self.take_written();",
        "        self.drain(Vec::new(), &roots);\n        let (armed, _) = self.take_written();",
        "objects are traced before their pages are armed",
        ["old_graph survives_async"],
    ),
    Defect(
        "no-last-scan",
        "gc/src/cycle/mod.rs",
        "            let (residual, failed) = self.take_written_compared();",
        "            let (residual, failed) = (Vec::<usize>::new(), false);",
        "the pause takes no written pages",
        ["old_graph survives_sigbus"],
    ),
    Defect(
        "pause-forgets-roots",
        "gc/src/cycle/mod.rs",
        "        self.drain(written, &roots);\n        if shared.config.verify()",
        "        self.drain(written, &[]);\n        if shared.config.verify()",
        "the roots handed over in the pause are not traced",
        ["threads"],
    ),
    Defect(
        "round-forgets-pages",
        "gc/src/cycle/mod.rs",
        "            self.drain(written, &roots);\n            self.report.rounds += 1;",
        "            self.drain(Vec::new(), &roots);\n            self.report.rounds += 1;",
        "a round arms written pages and does not trace them",
        ["old_graph survives_async"],
    ),
    Defect(
        "round-keeps-every-other-page",
        "gc/src/cycle/mod.rs",
        "            items.extend(run.step_by(PAGE).map(|page| Item::Page(page).encode()));",
        "            items.extend(run.step_by(2 * PAGE).map(|page| Item::Page(page).encode()));",
        "of neighbouring written pages every second is forgotten",
        ["old_graph survives_async"],
    ),
    Defect(
        "pause-retires-nothing",
        "gc/src/cycle/mod.rs",
        "            shared.hand_over(party);\n        }\n        let roots = self.take_roots();",
        "            let mut tracer = crate::mark::tracer::Tracer::collecting(&shared.heap);\n"
        "            party.roots.trace_roots(&mut tracer);\n"
        "            shared.handed_over.lock().append(&mut tracer.stack);\n"
        "        }\n        let roots = self.take_roots();",
        "the last scan leaves out the blocks that mutators own",
        ["old_graph survives_async"],
    ),
    Defect(
        "stop-waits-for-nobody",
        "gc/src/cycle/rendezvous.rs",
        "            state = self.wait_for(state, &mut waiting, \"a pause\", &running);\n",
        "            state = self.wait_for(state, &mut waiting, \"a pause\", &running);\n            break;\n",
        "the pause begins when one mutator has stopped",
        ["old_graph survives_async"],
    ),
    Defect(
        "back-during-a-stop",
        "gc/src/cycle/rendezvous.rs",
        "        let mut state = self.state.lock();\n        let start = state.stopping.then(Instant::now);\n"
        "        while state.stopping {\n            self.resumed.wait(&mut state);\n        }\n",
        "        let state = self.state.lock();\n        let start = state.stopping.then(Instant::now);\n",
        "a mutator that was away comes back in the middle of a pause",
        ["loom rendezvous::interleavings"],
    ),
    Defect(
        "rest-without-coming-back",
        "gc/src/cycle/rendezvous.rs",
        "            thread::sleep(rest);\n            self.come_back(party);",
        "            thread::sleep(rest);",
        "a throttled mutator goes on and still counts as away",
        ["old_graph survives_async"],
    ),
    Defect(
        "failed-scan-trusted",
        "gc/src/cycle/mod.rs",
        "            written = if failed || self.blind { self.every_page() } else { residual };",
        "            written = if failed && self.blind && residual.len() == usize::MAX { self.every_page() } else { residual };",
        "after a scan that failed, the pause trusts the reports",
        ["faults"],
    ),
    Defect(
        "handshake-forgets-who-went-away",
        "gc/src/cycle/rendezvous.rs",
        "                    // It went away between being asked and its next safepoint.\n                    hand_over(party);",
        "                    // It went away between being asked and its next safepoint.",
        "a mutator that goes away during a handshake is not asked for its roots and blocks",
        ["loom rendezvous::interleavings"],
    ),
    Defect(
        "joins-during-a-stop",
        "gc/src/cycle/rendezvous.rs",
        "        let mut state = self.state.lock();\n        while state.stopping {\n            self.resumed.wait(&mut state);\n        }\n        let party",
        "        let mut state = self.state.lock();\n        let party",
        "a thread that joins in the middle of a pause runs",
        ["loom a_thread_that_joins"],
    ),
    Defect(
        "swept-without-release",
        "gc/src/heap/block_space.rs",
        "        drop(lists);\n        self.unswept.fetch_sub(1, Ordering::Release);",
        "        drop(lists);\n        self.unswept.fetch_sub(1, Ordering::Relaxed);",
        "who waits for the end of sweeping may not see what was swept (shows on ARM; on x86 only to loom)",
        ["loom block_space::interleavings"],
    ),
    Defect(
        "cycle-asked-for-and-forgotten",
        "gc/src/collector.rs",
        "        let target = state.completed + if state.running { 2 } else { 1 };",
        "        let target = state.completed + 1;",
        "who asks for a cycle is content with one that began before",
        ["loom collector::interleavings"],
    ),
    # ---- roots and hand-over ---------------------------------------------------------------------------------------------
    Defect(
        "no-global-roots",
        "gc/src/cycle/mod.rs",
        "        roots.append(&mut self.shared.global_roots());\n",
        "",
        "the roots that belong to no thread are not traced",
        ["threads"],
    ),
    Defect(
        "roots-of-the-last-mutator-only",
        "gc/src/collector.rs",
        "        self.handed_over.lock().append(&mut tracer.stack);",
        "        *self.handed_over.lock() = std::mem::take(&mut tracer.stack);",
        "roots handed over replace those of the mutator before",
        ["threads"],
    ),
    Defect(
        "leaving-without-retiring",
        "gc/src/cycle/rendezvous.rs",
        "        retire(party);\n        state.parties.retain",
        "        let _ = retire;\n        state.parties.retain",
        "the blocks of a thread that ended stay owned for ever",
        ["threads"],
    ),
    Defect(
        "overflow-block-kept",
        "gc/src/heap/local.rs",
        "        self.retire_current(heap);\n        self.retire_overflow(heap);\n        if",
        "        self.retire_current(heap);\n        if",
        "a handshake and the pause leave the block of medium objects out",
        ["objects"],
    ),
    Defect(
        "batch-given-back-in-use",
        "gc/src/heap/local.rs",
        "        let block = self.batch.range.start;\n        self.batch.range.start += BLOCK;",
        "        let block = self.batch.range.start;\n        if self.batch.range.len() > BLOCK {\n            self.batch.range.start += BLOCK;\n        }",
        "the last block of a batch is handed out and, at the next hand-over, given back as free",
        ["objects"],
    ),
    # ---- blocks, allocation, metadata ------------------------------------------------------------------------------------
    Defect(
        "recyclable-blocks-not-scanned",
        "gc/src/heap/block_space.rs",
        "        matches!(self, BlockState::Full | BlockState::Unswept | BlockState::Recyclable)",
        "        matches!(self, BlockState::Full | BlockState::Unswept)",
        "blocks with holes are neither scanned nor swept again",
        ["old_graph survives_async"],
    ),
    Defect(
        "free-block-believed-zero",
        "gc/src/heap/block_space.rs",
        "            return Some(self.own(indices, false));",
        "            return Some(self.own(indices, true));",
        "memory of dead objects is handed out as it is",
        ["objects"],
    ),
    Defect(
        "hole-not-zeroed",
        "gc/src/heap/local.rs",
        "        heap.hand_out(&hole);\n        self.cursor = hole.start;",
        "        self.cursor = hole.start;",
        "new objects in holes hold the references of dead ones",
        ["objects"],
    ),
    Defect(
        "hole-a-granule-too-long",
        "gc/src/heap/local.rs",
        "        let hole = block + hole.start * GRANULE..block + hole.end * GRANULE;",
        "        let hole = block + hole.start * GRANULE..block + (hole.end * GRANULE + GRANULE).min(BLOCK);",
        "a hole reaches into the object behind it",
        ["objects"],
    ),
    Defect(
        "two-own-a-block",
        "gc/src/heap/block_space.rs",
        "            // An exchange, since a thread that took an index and then slept",
        "            if self.state(index) == BlockState::Unswept {\n"
        "                self.set_state(index, BlockState::Owned);\n"
        "                return Some(index);\n"
        "            }\n"
        "            // An exchange, since a thread that took an index and then slept",
        "finding an unswept block and owning it are two steps",
        ["loom block_space::interleavings"],
    ),
    Defect(
        "end-of-object-short",
        "gc/src/heap/metadata.rs",
        "                return n + lanes.trailing_zeros() as usize / 8 + 1;",
        "                return n + lanes.trailing_zeros() as usize / 8;",
        "objects of more than eight granules look one granule shorter",
        ["objects"],
    ),
    Defect(
        "release-keeps-memory",
        "gc/src/sys/kernel/memory.rs",
        "        for advice in [libc::MADV_DONTNEED, MADV_DONTNEED_LOCKED] {",
        "        for advice in [libc::MADV_FREE, MADV_DONTNEED_LOCKED] {",
        "memory given back keeps its contents",
        ["unit"],
    ),
    # ---- sweeping --------------------------------------------------------------------------------------------------------
    Defect(
        "fresh-garbage-never-swept",
        "gc/src/heap/sweep.rs",
        "        bits.live &= bits.starts;",
        "        let fresh = (0..8).fold(0, |fresh, lane| {\n"
        "            let eight = metadata.eight(at + lane * 8 * GRANULE);\n"
        "            fresh | gather(!(eight | eight >> 1)) << (lane * 8)\n"
        "        });\n"
        "        bits.live = (bits.live | fresh) & bits.starts;",
        "objects that died before they were ever marked stay for ever",
        ["objects"],
    ),
    Defect(
        "sweep-leaves-the-end",
        "gc/src/heap/sweep.rs",
        "forget: dead | dead_ends }",
        "forget: dead }",
        "the end mark of a dead object stays in the metadata",
        ["unit"],
    ),
    Defect(
        "leaves-never-swept",
        "gc/src/heap/mod.rs",
        "        self.tracked.blocks.flip();\n        self.leaf.blocks.flip();",
        "        self.tracked.blocks.flip();",
        "dead leaf objects are never found",
        ["objects"],
    ),
    Defect(
        "large-born-unmarked",
        "gc/src/heap/mod.rs",
        "        if self.marking() { 0 } else { colour }",
        "        if self.marking() { 0 } else { colour.min(0) }",
        "a large object made between the pause and the sweep of large objects is swept",
        ["objects"],
        patience=True,
    ),
    Defect(
        "large-heads-not-cleared",
        "gc/src/heap/large_space.rs",
        "                Self::entry(&self.heads, page).store(0, Ordering::Relaxed);",
        "                let _ = page;",
        "a dead large object is still found from its addresses",
        ["objects"],
    ),
    Defect(
        "stale-large-pages-believed-zero",
        "gc/src/heap/large_space.rs",
        "            (start, false)\n",
        "            (start, true)\n",
        "a large object starts with the bytes of a dead one",
        ["objects"],
    ),
    Defect(
        "limit-not-kept",
        "gc/src/heap/footprint.rs",
        "            now.checked_add(bytes).filter(|after| *after <= limit)",
        "            now.checked_add(bytes).filter(|after| *after <= limit + limit / 4)",
        "more memory is committed than the limit allows",
        ["memory_limit"],
    ),
    # ---- lookup, large objects, marking -------------------------------------------------------------------------------------
    Defect(
        "large-objects-not-scanned",
        "gc/src/heap/mod.rs",
        "        for run in self.tracked.large.runs(BRIDGE_PAGES) {\n            barrier.take_and_arm(run, report)?;\n        }\n",
        "        let _ = BRIDGE_PAGES;\n",
        "written pages of large objects are not reported",
        ["old_graph survives_async"],
    ),
    Defect(
        "rescan-forgets-the-object-before",
        "gc/src/heap/lookup.rs",
        "                if self.metadata.at(start).load(Ordering::Acquire) & MARK_MASK == colour {\n                    each(start);\n                }\n                at = past;",
        "                at = past;",
        "an object that starts on the page before a written one is not traced again",
        ["big_structures"],
    ),
    Defect(
        "lookup-gives-up-early",
        "gc/src/heap/lookup.rs",
        "granule.saturating_sub(LARGE_THRESHOLD - GRANULE)",
        "granule.saturating_sub(LARGE_THRESHOLD / 2)",
        "from the far end of a medium object its start is not found",
        ["objects"],
    ),
    Defect(
        "large-page-not-traced-again",
        "gc/src/mark/tracer.rs",
        "                self.trace(shared, object.start, from..from + PAGE);",
        "                self.trace(shared, object.start, from..from + PAGE / 2);",
        "of a written page of a large object the second half is not traced again",
        ["old_graph survives_async"],
    ),
    Defect(
        "overflow-notes-one-page",
        "gc/src/mark/tracer.rs",
        "        self.overflow.extend((addr & !(PAGE - 1)..addr + granules * GRANULE).step_by(PAGE));",
        "        self.overflow.extend((addr & !(PAGE - 1)..addr + granules * GRANULE).step_by(PAGE).take(1));",
        "of an object that overflows the mark stack only the first page is traced later",
        ["big_structures"],
    ),
    Defect(
        "ring-forgotten",
        "gc/src/mark/tracer.rs",
        "            self.drain_ring();\n            return !self.stack.is_empty();",
        "            return false;",
        "marking ends with references in the prefetch ring",
        ["objects"],
    ),
    Defect(
        "chunk-chain-broken",
        "gc/src/mark/tracer.rs",
        "                    if end < object.end {\n",
        "                    if end < object.end && end - object.start < 64 * CHUNK {\n",
        "of a large array only the first 2 MB are traced",
        ["big_structures"],
    ),
    Defect(
        "marked-twice",
        "gc/src/mark/tracer.rs",
        "        if shared.workers == 1 {",
        "        if shared.workers < 8 {",
        "two markers mark and count the same object",
        ["big_structures markers"],
        patience=True,
    ),
    Defect(
        "shared-half-lost",
        "gc/src/mark/team.rs",
        "                deque.push(std::mem::replace(&mut tracer.stack, rest));",
        "                tracer.stack = rest;",
        "work that is to be shared with an idle marker is dropped",
        ["big_structures"],
    ),
    Defect(
        "drain-waits-for-nobody",
        "gc/src/mark/team.rs",
        "        while job.running > 0 {",
        "        while job.running > usize::MAX / 2 {",
        "marking is said to be over while a helper still marks",
        ["loom team::interleavings"],
    ),
    Defect(
        "carry-lost",
        "gc/src/heap/sweep.rs",
        "dying: carry | carry_in,",
        "dying: carry,",
        "of a dead object of more than 64 granules the end survives the sweep",
        ["unit"],
    ),
    # ---- pacing ----------------------------------------------------------------------------------------------------------------
    Defect(
        "cycle-starts-late",
        "gc/src/cycle/pacer.rs",
        "used + self.reserve.load(Ordering::Relaxed) >= goal",
        "used + self.reserve.load(Ordering::Relaxed) / 8 >= goal",
        "a cycle starts too late to end below the goal",
        ["unit"],
    ),
    # ---- barriers --------------------------------------------------------------------------------------------------------------
    Defect(
        "scan-stops-at-a-full-vector",
        "gc/src/sys/pagemap.rs",
        "                    from = walk_end;",
        "                    from = walk_end.max(range.end);",
        "`async`: regions that did not fit the vector are not asked for",
        ["contract"],
    ),
    Defect(
        "scan-does-not-arm",
        "gc/src/sys/pagemap.rs",
        "            flags: PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,",
        "            flags: if regions.len() == 1 { PM_SCAN_WP_MATCHING } else { 0 } | PM_SCAN_CHECK_WPASYNC,",
        "`async`: pages are reported and not armed",
        ["contract"],
    ),
    Defect(
        "failed-scan-reports-nothing",
        "gc/src/sys/pagemap.rs",
        "                Err(error) => {\n                    written(from..range.end);",
        "                Err(error) => {",
        "`async`: pages that a failed scan may have armed are not reported",
        ["unit"],
    ),
    Defect(
        "protect-before-bit",
        "gc/src/barrier/armed_bits.rs",
        "            section.change(from, end, true);\n            let run = section.range.start + from * PAGE..section.range.start + end * PAGE;\n"
        "            if let Err(error) = protect(run) {\n                section.change(from, end, false);\n                return Err(error);\n            }",
        "            let run = section.range.start + from * PAGE..section.range.start + end * PAGE;\n"
        "            protect(run)?;\n            section.change(from, end, true);",
        "`sync`, `sigbus`, `mprotect`: the armed bit is set after the page is protected",
        ["loom armed_bits::interleavings"],
    ),
    Defect(
        "sync-clears-before-unprotecting",
        "gc/src/barrier/sync.rs",
        "                uffd::unprotect(kernel, uffd, pages.clone(), Waiters::LeaveAsleep)?;\n                bits.clear(&pages);",
        "                bits.clear(&pages);\n                uffd::unprotect(kernel, uffd, pages.clone(), Waiters::LeaveAsleep)?;",
        "`sync`: the fault thread clears the armed bit before it unprotects",
        ["contract"],
        patience=True,
    ),
    Defect(
        "sigbus-clears-before-unprotecting",
        "gc/src/barrier/sigbus.rs",
        "        let result = patience::with(|| uffd::unprotect(kernel, uffd, pages.clone(), Waiters::LeaveAsleep));\n        match result {",
        "        bits.clear(&pages);\n"
        "        let result = patience::with(|| uffd::unprotect(kernel, uffd, pages.clone(), Waiters::LeaveAsleep));\n"
        "        match result {\n            Ok(()) => true,",
        "`sigbus`: the handler clears the armed bit before it unprotects",
        ["contract"],
        patience=True,
    ),
    Defect(
        "sync-does-not-settle",
        "gc/src/barrier/batches.rs",
        "        if seen % 2 == 1 {",
        "        if seen % 2 == 2 {",
        "`sync`: the last scan may run in the middle of the fault thread's batch",
        ["loom settling"],
    ),
    Defect(
        "report-before-protecting",
        "gc/src/barrier/protector.rs",
        "            if let Err(error) = uffd::protect(&self.kernel, &self.uffd, run.clone()) {",
        "            if run.len() > PAGE {\n                written(run.clone());\n                return Ok(());\n            }\n"
        "            if let Err(error) = uffd::protect(&self.kernel, &self.uffd, run.clone()) {",
        "`sync`, `sigbus`: runs of several pages are marked as armed and never protected",
        ["contract"],
    ),
    Defect(
        "grown-fault-clears-one-page",
        "gc/src/barrier/mprotect.rs",
        "                Ok(()) => {\n                    self.bits.clear(&(start..end));",
        "                Ok(()) => {\n                    self.bits.clear(range);",
        "`mprotect`: pages opened up beside the faulting one still count as armed",
        ["contract"],
    ),
    Defect(
        "signals-not-held-back",
        "gc/src/barrier/signals.rs",
        "    unsafe { libc::sigfillset(&mut ours.sa_mask) };",
        "    unsafe { libc::sigemptyset(&mut ours.sa_mask) };",
        "`sigbus`, `mprotect`: a signal handler of the embedder's may run, and stop the thread, inside ours",
        ["signals"],
    ),
    Defect(
        "cards-of-another-page",
        "gc/src/barrier/cards.rs",
        "let card = unsafe { &*self.biased.wrapping_add(slot >> PAGE_SHIFT) };",
        "let card = unsafe { &*self.biased.wrapping_add(slot >> PAGE_SHIFT & !1) };",
        "`cards`: of two neighbouring pages always the first is marked",
        ["contract"],
    ),
    Defect(
        "disarmed-by-name-only",
        "gc/src/barrier/protector.rs",
        "        self.bits.clear(&range);\n        result.map_err",
        "        self.bits.clear(&(range.start..range.start + PAGE));\n        result.map_err",
        "`sync`, `sigbus`: pages that were disarmed and are writable still count as armed",
        ["contract"],
    ),
    Defect(
        "released-and-still-armed",
        "gc/src/heap/mod.rs",
        "            barrier.released(range);",
        "            let _ = (barrier, range);",
        "`sync`, `sigbus`: memory that was given back, and so is not protected any more, still counts as armed",
        ["unit"],
    ),
    Defect(
        "released-and-still-protected",
        "gc/src/barrier/protector.rs",
        "        let _ = self.disarm(range);",
        "        self.bits.clear(&range);",
        "`sync`, `sigbus`: shared memory that was given back stays protected without counting as armed: a fault a page",
        ["unit"],
    ),
    Defect(
        "child-waits-for-handlers-of-its-parent",
        "gc/src/barrier/fault_table.rs",
        "    VISITS.iter().for_each(|visits| visits.0.store(0, Ordering::SeqCst));",
        "    let _ = &VISITS;",
        "`sigbus`, `mprotect`: a heap dropped in the child of a fork waits for handlers that threads of the parent are in",
        ["unit"],
    ),
]

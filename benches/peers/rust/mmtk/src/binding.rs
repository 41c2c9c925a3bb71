//! The least that MMTk wants to know of a runtime: one kind of object, one root, one mutator that stops between its steps.
//!
//! An object is a node of 32 bytes: a header, two references, a number. The header is where MMTk leaves the new address of a node that it moved; its other bits about
//! objects are in tables of its own.
//!
//! The mutator allocates without ever being at a safepoint, so a reference in a local variable stays what it is; when the heap is full inside of a step, allocation goes
//! beyond the limit until the step ends. There, in [`safepoint`], a collection is waited for if one is due. What lives is then reached from
//! [`ROOT`] alone: no stack has to be scanned.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use mmtk::util::alloc::AllocationOptions;
use mmtk::util::copy::{CopySemantics, GCWorkerCopyContext};
use mmtk::util::options::{GCTriggerSelector, PlanSelector};
use mmtk::util::{Address, ObjectReference, OpaquePointer, VMMutatorThread, VMThread, VMWorkerThread};
use mmtk::vm::slot::{SimpleSlot, Slot, UnimplementedMemorySlice};
use mmtk::vm::{
    ActivePlan, Collection, GCThreadContext, ObjectModel, ReferenceGlue, RootsWorkFactory, Scanning, SlotVisitor,
    VMBinding, VMGlobalLogBitSpec, VMLocalForwardingBitsSpec, VMLocalForwardingPointerSpec, VMLocalLOSMarkNurserySpec,
    VMLocalMarkBitSpec,
};
use mmtk::{AllocationSemantics, MMTK, MMTKBuilder, Mutator, memory_manager};

/// Words of a node.
const HEADER: usize = 0;
const LEFT: usize = 1;
const VALUE: usize = 3;
const WORDS: usize = 4;
const WORD: usize = 8;
const BYTES: usize = WORDS * WORD;

/// The tree that lives.
static ROOT: AtomicUsize = AtomicUsize::new(0);
static COLLECTOR: OnceLock<MMTK<Runtime>> = OnceLock::new();
/// The mutator, once it is there.
static MUTATOR: AtomicUsize = AtomicUsize::new(0);
/// Whether a collector thread waits for the mutator.
static WANTED: AtomicBool = AtomicBool::new(false);
static GATE: Gate = Gate { state: Mutex::new(State { stopped: false, collections: 0 }), changed: Condvar::new() };

struct State {
    /// Whether the mutator stands still.
    stopped: bool,
    /// How many have ended.
    collections: u64,
}

struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

/// Names for threads: collector threads have the numbers above.
fn mutator_thread() -> VMMutatorThread {
    VMMutatorThread(thread(1))
}

fn thread(number: usize) -> VMThread {
    // SAFETY: nobody takes this for an address: it is compared only.
    VMThread(OpaquePointer::from_address(unsafe { Address::from_usize(number) }))
}

/// MMTk's view of this program.
#[derive(Default)]
pub struct Runtime;

impl VMBinding for Runtime {
    type VMObjectModel = Runtime;
    type VMScanning = Runtime;
    type VMCollection = Runtime;
    type VMActivePlan = Runtime;
    type VMReferenceGlue = Runtime;
    type VMSlot = SimpleSlot;
    type VMMemorySlice = UnimplementedMemorySlice;
}

impl ObjectModel<Runtime> for Runtime {
    const GLOBAL_LOG_BIT_SPEC: VMGlobalLogBitSpec = VMGlobalLogBitSpec::side_first();
    const LOCAL_FORWARDING_POINTER_SPEC: VMLocalForwardingPointerSpec = VMLocalForwardingPointerSpec::in_header(0);
    const LOCAL_FORWARDING_BITS_SPEC: VMLocalForwardingBitsSpec = VMLocalForwardingBitsSpec::side_first();
    const LOCAL_MARK_BIT_SPEC: VMLocalMarkBitSpec =
        VMLocalMarkBitSpec::side_after(Self::LOCAL_FORWARDING_BITS_SPEC.as_spec());
    const LOCAL_LOS_MARK_NURSERY_SPEC: VMLocalLOSMarkNurserySpec =
        VMLocalLOSMarkNurserySpec::side_after(Self::LOCAL_MARK_BIT_SPEC.as_spec());
    const UNIFIED_OBJECT_REFERENCE_ADDRESS: bool = true;
    const OBJECT_REF_OFFSET_LOWER_BOUND: isize = 0;

    fn copy(
        from: ObjectReference,
        semantics: CopySemantics,
        context: &mut GCWorkerCopyContext<Runtime>,
    ) -> ObjectReference {
        let to = context.alloc_copy(from, BYTES, WORD, 0, semantics);
        // SAFETY: a node, and memory for one that nobody else has.
        unsafe { std::ptr::copy_nonoverlapping::<u8>(from.to_raw_address().to_ptr(), to.to_mut_ptr(), BYTES) };
        // SAFETY: it was allocated just now, so it is not null.
        let to = unsafe { ObjectReference::from_raw_address_unchecked(to) };
        context.post_copy(to, BYTES, semantics);
        to
    }

    fn copy_to(_from: ObjectReference, _to: ObjectReference, _region: Address) -> Address {
        unreachable!("none of the plans compacts")
    }

    fn get_reference_when_copied_to(_from: ObjectReference, to: Address) -> ObjectReference {
        // SAFETY: the address of a copy is not null.
        unsafe { ObjectReference::from_raw_address_unchecked(to) }
    }

    fn get_current_size(_object: ObjectReference) -> usize {
        BYTES
    }

    fn get_size_when_copied(_object: ObjectReference) -> usize {
        BYTES
    }

    fn get_align_when_copied(_object: ObjectReference) -> usize {
        WORD
    }

    fn get_align_offset_when_copied(_object: ObjectReference) -> usize {
        0
    }

    fn get_type_descriptor(_reference: ObjectReference) -> &'static [i8] {
        &[]
    }

    fn ref_to_object_start(object: ObjectReference) -> Address {
        object.to_raw_address()
    }

    fn ref_to_header(object: ObjectReference) -> Address {
        object.to_raw_address()
    }

    fn dump_object(object: ObjectReference) {
        eprintln!("node at {object}");
    }
}

impl Scanning<Runtime> for Runtime {
    fn scan_object<V: SlotVisitor<SimpleSlot>>(_: VMWorkerThread, object: ObjectReference, visitor: &mut V) {
        for field in [LEFT, LEFT + 1] {
            visitor.visit_slot(SimpleSlot::from_address(object.to_raw_address() + field * WORD));
        }
    }

    fn notify_initial_thread_scan_complete(_partial_scan: bool, _: VMWorkerThread) {}

    fn scan_roots_in_mutator_thread(
        _: VMWorkerThread,
        _mutator: &'static mut Mutator<Runtime>,
        _factory: impl RootsWorkFactory<SimpleSlot>,
    ) {
        // It stands between two steps, where it holds nothing.
    }

    fn scan_vm_specific_roots(_: VMWorkerThread, mut factory: impl RootsWorkFactory<SimpleSlot>) {
        factory.create_process_roots_work(vec![SimpleSlot::from_address(Address::from_ptr(&raw const ROOT))]);
    }

    fn supports_return_barrier() -> bool {
        false
    }

    fn prepare_for_roots_re_scanning() {}
}

impl Collection<Runtime> for Runtime {
    fn stop_all_mutators<F: FnMut(&'static mut Mutator<Runtime>)>(_: VMWorkerThread, mut visitor: F) {
        WANTED.store(true, Ordering::SeqCst);
        let mut state = GATE.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.stopped {
            state = GATE.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        visitor(mutator());
    }

    fn resume_mutators(_: VMWorkerThread) {
        WANTED.store(false, Ordering::SeqCst);
        let mut state = GATE.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = false;
        state.collections += 1;
        GATE.changed.notify_all();
    }

    fn block_for_gc(_: VMMutatorThread) {
        let mut state = GATE.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.collections;
        state.stopped = true;
        GATE.changed.notify_all();
        while state.collections == before {
            state = GATE.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn spawn_gc_thread(_: VMThread, context: GCThreadContext<Runtime>) {
        static NUMBER: AtomicUsize = AtomicUsize::new(2);
        let GCThreadContext::Worker(worker) = context;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        std::thread::spawn(move || {
            memory_manager::start_worker(collector(), VMWorkerThread(thread(number)), worker);
        });
    }

    fn out_of_memory(_: VMThread, _: mmtk::util::alloc::AllocationError) {
        eprintln!("out of memory");
        std::process::exit(2);
    }
}

impl ActivePlan<Runtime> for Runtime {
    fn is_mutator(thread: VMThread) -> bool {
        thread == mutator_thread().0
    }

    fn mutator(_: VMMutatorThread) -> &'static mut Mutator<Runtime> {
        mutator()
    }

    fn mutators<'a>() -> Box<dyn Iterator<Item = &'a mut Mutator<Runtime>> + 'a> {
        Box::new(std::iter::once(mutator() as &'a mut _))
    }

    fn number_of_mutators() -> usize {
        1
    }
}

impl ReferenceGlue<Runtime> for Runtime {
    type FinalizableType = ObjectReference;

    fn clear_referent(_: ObjectReference) {}

    fn get_referent(_: ObjectReference) -> Option<ObjectReference> {
        None
    }

    fn set_referent(_: ObjectReference, _: ObjectReference) {}

    fn enqueue_references(_: &[ObjectReference], _: VMWorkerThread) {}
}

fn collector() -> &'static MMTK<Runtime> {
    COLLECTOR.get().expect("it is made before anything else")
}

fn mutator() -> &'static mut Mutator<Runtime> {
    let mutator = MUTATOR.load(Ordering::Acquire) as *mut Mutator<Runtime>;
    // SAFETY: it was leaked, and is used either by the program's thread or, while that stands still, by the collector's.
    unsafe { &mut *mutator }
}

/// A node. It stays where it is until [`safepoint`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Node(ObjectReference);

impl Node {
    fn word(self, index: usize) -> *mut u64 {
        (self.0.to_raw_address() + index * WORD).to_mut_ptr()
    }

    /// What it holds.
    pub fn value(self) -> u64 {
        // SAFETY: a word of a node, which nobody changes.
        unsafe { self.word(VALUE).read() }
    }

    /// The left child, or the right one.
    pub fn child(self, right: bool) -> Option<Node> {
        // SAFETY: a word of a node; the collector changes it only while this thread stands still.
        let address = unsafe { self.word(LEFT + usize::from(right)).read() } as usize;
        // SAFETY: the word is null or a node's address.
        ObjectReference::from_raw_address(unsafe { Address::from_usize(address) }).map(Node)
    }

    /// Puts a child into a node that others may know already.
    pub fn set_child(self, right: bool, child: Node) {
        let slot = SimpleSlot::from_address(self.0.to_raw_address() + (LEFT + usize::from(right)) * WORD);
        let mutator = mutator();
        memory_manager::object_reference_write_pre(mutator, self.0, slot, Some(child.0));
        slot.store(child.0);
        memory_manager::object_reference_write_post(mutator, self.0, slot, Some(child.0));
    }
}

/// What the program does its work with. It borrows the mutator anew for each call, so that nobody else has it when the collector does.
pub struct Heap(());

impl Heap {
    /// The only heap of the process, of `bytes` bytes.
    pub fn new(plan: PlanSelector, bytes: usize) -> Result<Heap, String> {
        let mut builder = MMTKBuilder::new_no_env_vars();
        let set =
            builder.options.plan.set(plan) && builder.options.gc_trigger.set(GCTriggerSelector::FixedHeapSize(bytes));
        if !set || COLLECTOR.set(builder.build()).is_err() {
            return Err("the library does not take the plan and the limit".into());
        }
        let bound = Box::leak(memory_manager::bind_mutator(collector(), mutator_thread()));
        MUTATOR.store(std::ptr::from_mut(bound) as usize, Ordering::Release);
        memory_manager::initialize_collection(collector(), mutator_thread().0);
        Ok(Heap(()))
    }

    /// A new node.
    pub fn node(&mut self, left: Option<Node>, right: Option<Node>, value: u64) -> Node {
        let options = AllocationOptions { allow_overcommit: true, at_safepoint: false, allow_oom_call: true };
        let semantics = AllocationSemantics::Default;
        let mutator = mutator();
        let address = memory_manager::alloc_with_options(mutator, BYTES, WORD, 0, semantics, options);
        let Some(reference) = ObjectReference::from_raw_address(address) else {
            eprintln!("out of memory");
            std::process::exit(2)
        };
        memory_manager::post_alloc(mutator, reference, BYTES, semantics);
        let node = Node(reference);
        let of = |child: Option<Node>| child.map_or(0, |child| child.0.to_raw_address().as_usize() as u64);
        for (index, word) in [(HEADER, 0), (LEFT, of(left)), (LEFT + 1, of(right)), (VALUE, value)] {
            // SAFETY: a word of the node that was just allocated, which no other thread knows. No barrier is needed: it is young.
            unsafe { node.word(index).write(word) };
        }
        node
    }

    /// The tree that lives.
    pub fn root(&self) -> Option<Node> {
        // SAFETY: the word is null or a node's address.
        ObjectReference::from_raw_address(unsafe { Address::from_usize(ROOT.load(Ordering::Relaxed)) }).map(Node)
    }

    /// From now on `node` lives.
    pub fn set_root(&mut self, node: Node) {
        ROOT.store(node.0.to_raw_address().as_usize(), Ordering::Relaxed);
    }

    /// Stops for a collection if one is due. Only what the root leads to is still there afterwards, and maybe elsewhere.
    pub fn safepoint(&mut self) {
        memory_manager::gc_poll(collector(), mutator_thread());
        // Asked for by an allocation in the step.
        if WANTED.load(Ordering::SeqCst) {
            Runtime::block_for_gc(mutator_thread());
        }
    }
}

(* One write to a random old object at a time. *)

type cell = { value : int }

(* The words are a buffer of their own, which the collector does not look into; in the lab they are part of the object. *)
type page = { mutable cell : cell; words : bytes }

let step = 64
let words = 510

let new_page index =
  let buffer = Bytes.create (8 * words) in
  for word = 0 to words - 1 do
    Bytes.set_int64_le buffer (8 * word) (Int64.of_int index)
  done;
  { cell = { value = index }; words = buffer }

let run () =
  let pages = Bench.parameter "size" and writes = Bench.parameter "writes" in
  let garbage = Bench.parameter "garbage" in
  let table = Array.init pages new_page in
  let sum = ref (pages * (pages - 1) / 2) in
  let random = Bench.random () in
  let write () =
    if garbage > 0 then ignore (Sys.opaque_identity (Bytes.make garbage '\000'));
    let cell = { value = Random.below random (1 lsl 32) } in
    let page = table.(Random.below random pages) in
    sum := !sum + cell.value - page.cell.value;
    page.cell <- cell
  in
  Bench.start ((writes + step - 1) / step);
  let left = ref writes in
  while !left > 0 do
    let todo = min step !left in
    for _ = 1 to todo do
      write ()
    done;
    left := !left - todo;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () and found = ref 0 in
  Array.iteri
    (fun index page ->
      for word = 0 to words - 1 do
        if Bytes.get_int64_le page.words (8 * word) <> Int64.of_int index then
          Bench.damaged "page %d is damaged" index
      done;
      found := !found + page.cell.value;
      Fold.add64 result (Bytes.get_int64_le page.words 0);
      Fold.add result page.cell.value)
    table;
  if !found <> !sum then Bench.damaged "the cells add up to %d, not %d" !found !sum;
  result.hash

(* Large arrays of references, written seldom or often. *)

type cell = { value : int }

(* The bits of a cell's value that are drawn; those above are its place. *)
let drawn_bits = 16
let drawn_of value = value land ((1 lsl drawn_bits) - 1)

let run () =
  let arrays = Bench.parameter "arrays" and size = Bench.parameter "size" in
  let steps = Bench.parameter "steps" and mutation = Bench.parameter "mutation" in
  let garbage = Bench.parameter "garbage" in
  let place array slot = (array * size) + slot in
  let cell array slot drawn = { value = (place array slot lsl drawn_bits) lor drawn } in
  let shelf = Array.init arrays (fun array -> Array.init size (fun slot -> cell array slot 0)) in
  let sum = ref 0 in
  let random = Bench.random () in
  let mutate () =
    let array = Random.below random arrays in
    let slot = Random.below random size in
    let drawn = Random.below random (1 lsl drawn_bits) in
    let new_cell = cell array slot drawn in
    let cells = shelf.(array) in
    sum := !sum + drawn - drawn_of cells.(slot).value;
    cells.(slot) <- new_cell
  in
  Bench.start steps;
  for _ = 1 to steps do
    if garbage > 0 then ignore (Sys.opaque_identity (Bytes.make garbage '\000'));
    for _ = 1 to mutation do
      mutate ()
    done;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () and found = ref 0 in
  Array.iteri
    (fun array cells ->
      Array.iteri
        (fun slot { value } ->
          if value lsr drawn_bits <> place array slot then
            Bench.damaged "array %d has the cell of another slot at %d" array slot;
          found := !found + drawn_of value;
          Fold.add result value)
        cells)
    shelf;
  if !found <> !sum then Bench.damaged "the cells add up to %d, not %d" !found !sum;
  result.hash

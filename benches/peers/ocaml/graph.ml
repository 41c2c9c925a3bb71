(* One random graph, whose edges are turned and whose labels are renewed. *)

type label = { vertex : int; turn : int }

type vertex = {
  mutable e0 : vertex;
  mutable e1 : vertex;
  mutable e2 : vertex;
  mutable e3 : vertex;
  mutable label : label;
  number : int;
}

let step = 32

(* An edge that was not turned yet leads back to its vertex. *)
let new_vertex number =
  let label = { vertex = number; turn = 0 } in
  let rec vertex = { e0 = vertex; e1 = vertex; e2 = vertex; e3 = vertex; label; number } in
  vertex

let turn from edge target =
  match edge with
  | 0 -> from.e0 <- target
  | 1 -> from.e1 <- target
  | 2 -> from.e2 <- target
  | _ -> from.e3 <- target

let run () =
  let size = Bench.parameter "size" and mutations = Bench.parameter "mutations" in
  let garbage = Bench.parameter "garbage" in
  let random = Bench.random () in
  let table = Array.init size new_vertex in
  Array.iter
    (fun vertex ->
      for edge = 0 to 3 do
        turn vertex edge table.(Random.below random size)
      done)
    table;
  let turns = Array.make size 0 in
  let mutate () =
    if garbage > 0 then ignore (Sys.opaque_identity (Bytes.make garbage '\000'));
    let number = Random.below random size in
    turns.(number) <- turns.(number) + 1;
    table.(number).label <- { vertex = number; turn = turns.(number) };
    let from = table.(Random.below random size) in
    let target = table.(Random.below random size) in
    turn from (Random.below random 4) target
  in
  Bench.start ((mutations + step - 1) / step);
  let left = ref mutations in
  while !left > 0 do
    let todo = min step !left in
    for _ = 1 to todo do
      mutate ()
    done;
    left := !left - todo;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () in
  Array.iteri
    (fun number vertex ->
      let { vertex = labelled; turn } = vertex.label in
      if vertex.number <> number || labelled <> number || turn <> turns.(number) then
        Bench.damaged "vertex %d is damaged" number;
      List.iter (Fold.add result) [ number; labelled; turn ];
      List.iter
        (fun target ->
          if table.(target.number) != target then
            Bench.damaged "an edge of vertex %d leads nowhere" number;
          Fold.add result target.number)
        [ vertex.e0; vertex.e1; vertex.e2; vertex.e3 ])
    table;
  result.hash

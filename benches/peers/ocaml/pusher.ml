(* A window of buffers, the newest pushing out the oldest. *)

let low_byte number = Char.unsafe_chr (number land 255)

(* Every byte is the low byte of the number, the first eight are the number. *)
let buffer bytes number =
  let buffer = Bytes.make bytes (low_byte number) in
  Bytes.set_int64_le buffer 0 (Int64.of_int number);
  buffer

let run () =
  let window = Bench.parameter "window" and pushes = Bench.parameter "pushes" in
  let bytes = Bench.parameter "bytes" in
  let ring = Array.make window Bytes.empty in
  Bench.start pushes;
  for number = 0 to pushes - 1 do
    ring.(number mod window) <- buffer bytes number;
    Bench.end_step ()
  done;
  Bench.stop ();
  let result = Fold.make () in
  for number = max 0 (pushes - window) to pushes - 1 do
    let found = ring.(number mod window) in
    if found <> buffer bytes number then Bench.damaged "the buffer of push %d is damaged" number;
    Fold.add64 result (Bytes.get_int64_le found 0);
    Fold.add result (Char.code (Bytes.get found (bytes - 1)))
  done;
  result.hash

"""A line for every command, and what becomes of some of them; `test_every_command.py` runs them."""

#: Command lines without the program's name; {…} is filled in by the case. Order matters: later ones find what earlier
#: ones put into the store.
LINES = """
init {site}
keys new --settings {settings}
migrate --settings {settings}
check --settings {settings}
run --settings {settings}
ingest {ecgs} --settings {settings}
ingest {ecg} --settings {settings} --json
pause everything --reason x --settings {settings}
resume everything --reason x --settings {settings}
pause head zzz --reason x --settings {settings}
pull --settings {settings}
pull drop --settings {settings}
pull sftp --settings {settings}
pull web --settings {settings}
score --settings {settings}
send --settings {settings}
status --settings {settings}
show 1 --settings {settings}
documents --settings {settings}
preview 1 --destination results --settings {settings}
health --settings {settings}
search --settings {settings}
search 1 --settings {settings}
alerts list --settings {settings}
alerts acknowledge 1 --reason x --settings {settings}
alerts silence 1 --reason x --settings {settings}
alerts test --settings {settings}
user add ada --settings {settings}
user list --settings {settings}
user remove ada --settings {settings}
token add lab --settings {settings}
token list --settings {settings}
token revoke lab --settings {settings}
payloads list --settings {settings}
payloads show 1 --settings {settings}
documents --settings {settings}
payloads export 1 --out {out}/payload --reason x --settings {settings}
payloads resolve 1 --reason x --settings {settings}
correct 1 --yes --settings {settings}
withdraw 1 --yes --settings {settings}
patient show --settings {settings}
patient merge --reason x --yes --settings {settings}
patient unmerge --reason x --yes --settings {settings}
patient link --reason x --yes --settings {settings}
patient object --reason x --yes --settings {settings}
patient erase --reason x --yes --settings {settings}
held list --settings {settings}
held show 1 --settings {settings}
documents --settings {settings}
held release 1 --reason x --yes --settings {settings}
held reject 1 --reason x --yes --settings {settings}
withdraw --model zzz --yes --settings {settings}
replay 1 --settings {settings}
replay --refused --settings {settings}
replay --refused --list --settings {settings}
replay --dead --settings {settings}
replay --dead --list --json --settings {settings}
retain --settings {settings}
keys apply --settings {settings}
backup {out}/copy.sqlite --settings {settings}
audit --settings {settings}
audit --verify --settings {settings}
statements --settings {settings}
store compress --settings {settings}
store adopt --as moved --yes --settings {settings}
store move --to postgresql+psycopg://u@127.0.0.1:1/x --settings {settings}
outcomes list --settings {settings}
outcomes refused --settings {settings}
outcomes show 1 --settings {settings}
documents --settings {settings}
outcomes reread --settings {settings}
outcomes export {out}/outcomes.csv --settings {settings}
outcomes export {out}/outcomes.parquet --settings {settings}
cohort export interpretation --out {out}/cohort --settings {settings}
cohort export interpretation --dry-run --settings {settings}
inspect {ecg}
inspect {ecg} --png {out}/a.png
inspect {ecg} --npz {out}/a.npz
predict {ecgs} --model {bundle}
predict {ecg} --model {bundle} --runtime onnx
predict {ecg} --model {bundle} --runtime openvino
predict {ecg} --model {bundle} --runtime nonsense
embed {ecgs} --out {out}/a.npy --model {bundle}
embed {ecgs} --out {out}/a.parquet --model {bundle}
explain {ecg} --png {out}/b.png --model {bundle}
explain {single} --png {out}/pictures --model {bundle}
explain {ecgs} --out {out}/weights.parquet --model {bundle} --device cpu
backfill run {ecgs} --out {out}/backfill --model {bundle}
backfill run {ecgs} --out {out}/more --model {bundle} --embeddings --identifiers {labels}
backfill run {table} --out {out}/rows --model {bundle} --column filename_hr
backfill verify {made}/../out/backfill
retrain reduced_lvef --settings {settings}
retrain reduced_lvef --method lora --settings {settings}
retrain x --archive {ecgs} --table {table} --label sick --out {made}/trained --from {bundle} --method linear
retrain x --archive {ecgs} --table {table} --label sick --out {made}/full --from {bundle} --method full --epochs 1
evaluate reduced_lvef --settings {settings}
evaluate x --archive {ecgs} --table {table} --label sick --out {made}/judged --model {bundle}
cross-validate --archive {ecgs} --table {table} --label sick --out {made}/cv --from {bundle}
cross-validate --archive {ecgs} --table {table} --label sick --out {made}/cv --from {bundle} --folds 4
cross-validate --archive {ecgs} --table {parquet} --label sick --out {made}/cv --from {bundle} --folds 4
cross-validate --archive {ecgs} --table {table} --classes {table} --out {made}/cv --from {bundle} --folds 3
learning-curve reduced_lvef --out {file}.png --settings {settings}
drift --settings {settings}
dataset list
dataset show ptb-xl
dataset check ptb-xl {ecgs}
dataset table ptb-xl {ecgs} --out {out}/data-set.csv
dataset outcomes mimic-iv-troponin {ecgs} --out {out}/troponin.csv
demo --ecgs {ecgs} --out {file}/demo
demo-retrain --patients 200 --out {file}/demo
demo-feeds {file}/feeds --patients 1
pretrain --recipe {recipe} --data {ecgs} --out {made}/pretrained --max-updates 1 --tensorboard --bundle {made}/encoder
pretrain --recipe {recipe} --from-store --settings {settings} --out {made}/stored --max-updates 1
model from-checkpoint {checkpoint} --bundle {made}/from-checkpoint
model from-checkpoint {checkpoint} --fairseq {out}/from-checkpoint.pt
model import {checkpoint} --out {made}/imported
model show {bundle}
model export {bundle} --onnx {out}/a.onnx
model prepare {bundle} --runtime onnx
model prepare {bundle} --runtime torch-bf16 {ecg} --cache {made}/cache
model bench {bundle} {ecg} --rounds 1 --threads 1
model probe {bundle} --labels {labels} --data {ecgs}
model map {bundle} --labels {labels} --data {ecgs} --out {out}/map.png
model map {bundle} --labels {labels} --data {ecgs} --out {out}/map.html
model map {bundle} --labels {labels} --data {ecgs} --out {out}/map.html --method umap
model list --settings {settings}
model promote {bundle} --settings {settings}
model rollback --settings {settings}
model history --settings {settings}
model renew {bundle} --out {made}/renewed
model card {bundle}
model card {bundle} --out {out}/CARD.md
model pack {bundle} --out {out}/pack --settings {settings}
model shadow tiny --settings {settings}
model recalibrate reduced_lvef --what ppv --settings {settings}
model shift reduced_lvef --prevalence 0.1 --settings {settings}
"""

#: Lines that take nothing in.
TELLS = ("dataset list", "dataset show")

#: Lines that six ECGs and an installation without peers cannot serve.
TOO_LITTLE = (
    *("check", "health", "run", "pull", "send", "status", "retrain", "evaluate", "cross-validate", "drift", "demo"),
    *("learning-curve", "cohort export"),
    *("model rollback", "outcomes show", "patient", "held show", "held release", "held reject", "payloads resolve"),
    *("withdraw 1 ", "withdraw --model zzz", "store adopt", "store move"),
    *("alerts acknowledge", "alerts silence", "alerts test"),
    *("user add", "user remove", "pause head"),
    *("model promote", "model shadow", "model recalibrate", "model shift", "model import"),
    *("dataset check", "dataset table", "dataset outcomes"),
    "preview 1",  # its ECG names no patient
    "predict {ecg} --model {bundle} --runtime nonsense",
)  # fmt: skip

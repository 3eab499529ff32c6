// Boxes from a detector's raw maps, by the numbers in the record; see tfeff/tasks/detection.py and detection_decode.py.

const SHOWN = 0.3; // a score from which on people see a box
const DRAWN = 10;
const BELOW_ALIGNED = 1e-9; // what PicoDet v2 adds under the root
const SAME = 0.5; // IoU from which on boxes of two files are of one thing, in the table
const COLOURS = ['#e6194b', '#3cb44b', '#ffe119', '#0082c8', '#f58230', '#911eb4', '#46f0f0', '#f032e6', '#d2f53c', '#fabed4'];

const sigmoid = (value) => 1 / (1 + Math.exp(-value));
const logit = (share) => (share <= 0 ? -Infinity : share >= 1 ? Infinity : Math.log(share / (1 - share)));
const named = (spec, number) => (spec.labels?.length ? spec.labels[number] : `class ${number}`);

/** [{ place, number, score }] of at least all classes of a level that score more than the threshold. */
function scored(outputs, level, how) {
  const { data } = outputs[level.scores];
  const channels = how.classes + (how.score === 'softmax' ? 1 : 0);
  const found = [];
  if (how.score === 'softmax') {
    for (let place = 0; place * channels < data.length; place++) {
      if (how.kind === 'refined') {
        const first = outputs[level.first_scores].data;
        if (sigmoid(first[2 * place + 1] - first[2 * place]) <= how.objectness) continue;
      }
      let top = -Infinity, sum = 0;
      for (let c = 0; c < channels; c++) top = Math.max(top, data[place * channels + c]);
      for (let c = 0; c < channels; c++) sum += Math.exp(data[place * channels + c] - top);
      for (let c = 1; c < channels; c++) {
        const score = Math.exp(data[place * channels + c] - top) / sum;
        if (score > how.score_threshold) found.push({ place, number: c - 1, score });
      }
    }
    return found;
  }
  const aligned = how.score === 'aligned';
  const least = logit(aligned ? how.score_threshold ** 2 - BELOW_ALIGNED : how.score_threshold) - 1e-6;
  for (let i = 0; i < data.length; i++) {
    if (!(data[i] > least)) continue;
    const place = Math.floor(i / channels);
    let score = sigmoid(data[i]);
    if (aligned) score = Math.sqrt(score * sigmoid(outputs[level.alignment].data[place]) + BELOW_ALIGNED);
    found.push({ place, number: i % channels, score });
  }
  return found;
}

/** Mean of a distribution given by its logits. */
function mean(data, from, bins) {
  let top = -Infinity, sum = 0, weighted = 0;
  for (let k = 0; k < bins; k++) top = Math.max(top, data[from + k]);
  for (let k = 0; k < bins; k++) {
    const share = Math.exp(data[from + k] - top);
    sum += share;
    weighted += k * share;
  }
  return weighted / sum;
}

/** [x1, y1, x2, y2] of a place of a level (of an anchor, where it has any), in pixels of the network's input. */
function boxOf(outputs, level, how, place) {
  const anchors = Math.max(1, level.anchors?.length ?? 0);
  const cell = Math.floor(place / anchors);
  let y = (Math.floor(cell / level.columns) + 0.5) * level.step[0];
  let x = ((cell % level.columns) + 0.5) * level.step[1];
  let box;
  if (how.kind === 'distances') {
    const { data } = outputs[level.boxes];
    const [left, top, right, bottom] = [0, 1, 2, 3].map((side) =>
      mean(data, (place * 4 + side) * how.bins, how.bins) * level.step[1 - (side % 2)]);
    box = [x - left, y - top, x + right, y + bottom];
  } else {
    let [w, h] = level.anchors[place % anchors];
    for (const name of how.kind === 'refined' ? [level.first_boxes, level.boxes] : [level.boxes]) {
      const [dx, dy, dw, dh] = how.variances.map((variance, i) => outputs[name].data[place * 4 + i] * variance);
      const most = how.max_log_size ?? Infinity;
      [x, y] = [x + dx * w, y + dy * h];
      [w, h] = [w * Math.exp(Math.min(dw, most)), h * Math.exp(Math.min(dh, most))];
    }
    box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
  }
  return how.clip ? box.map((value, i) => Math.min(Math.max(value, 0), how.size[1 - (i % 2)])) : box;
}

function overlap(one, other) {
  const wide = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const high = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  const shared = Math.max(wide, 0) * Math.max(high, 0);
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
  const union = area(one) + area(other) - shared;
  return union > 0 ? shared / union : 0;
}

const byScore = (one, other) => other.score - one.score; // sorting keeps the order of equals

/** What stays of the boxes of one class, the surest first. */
function suppressed(boxes, threshold) {
  const kept = [];
  for (const one of boxes) if (kept.every((other) => !(overlap(other.box, one.box) > threshold))) kept.push(one);
  return kept;
}

/** The boxes of a file that ends in boxes: TFLite_Detection_PostProcess has decoded and suppressed them. */
function fromList(outputs, { listed, size, clip }) {
  const count = Math.trunc(Number(outputs[listed.count].data[0]));
  const of = (name, length) => Array.from(outputs[name].data, Number).slice(0, length);
  const sides = of(listed.boxes, 4 * count); // y1 x1 y2 x2 as shares of the image's sides
  const boxes = sides.map((_, i) => {
    const value = sides[i % 2 ? i - 1 : i + 1] * size[1 - (i % 2)];
    return clip ? Math.min(Math.max(value, 0), size[1 - (i % 2)]) : value;
  });
  return { boxes, classes: of(listed.classes, count).map(Math.round), scores: of(listed.scores, count) };
}

/** The boxes that people see: [{ number, score, box, name }], the surest first; a class's second is called `name (2)`. */
function shown({ boxes, classes, scores }, spec, least = SHOWN) {
  const met = {};
  return scores.map((score, i) => ({ number: classes[i], score, box: boxes.slice(4 * i, 4 * i + 4) }))
    .filter(({ score, box }) => score >= least && box.every(Number.isFinite)) // a network may give anything
    .map((one) => {
      const name = named(spec, one.number);
      met[`:${name}`] = (met[`:${name}`] ?? 0) + 1;
      return { ...one, name: met[`:${name}`] === 1 ? name : `${name} (${met[`:${name}`]})` };
    });
}

export const detection = {
  name: 'detection',

  /** { boxes: x1 y1 x2 y2 of each in turn, in pixels of the network's input; classes; scores }, the surest first. */
  decode(outputs, spec) {
    const how = spec.decode;
    if (how.listed) return fromList(outputs, how);
    const classes = new Map();
    for (const level of how.levels) {
      for (const one of scored(outputs, level, how)) {
        if (!(one.score > how.score_threshold)) continue;
        if (!classes.has(one.number)) classes.set(one.number, []);
        classes.get(one.number).push({ ...one, level });
      }
    }
    const kept = [...classes.keys()].sort((a, b) => a - b).flatMap((number) => {
      const best = classes.get(number).sort(byScore).slice(0, how.per_class);
      for (const one of best) one.box = boxOf(outputs, one.level, how, one.place);
      return suppressed(best, how.iou_threshold);
    }).sort(byScore).slice(0, how.keep);
    return { boxes: kept.flatMap(({ box }) => box), classes: kept.map(({ number }) => number), scores: kept.map(({ score }) => score) };
  },

  lines(prediction, spec, least) {
    const seen = shown(prediction, spec, least).slice(0, DRAWN).map(({ name, score }) => [name, score]);
    return seen.length ? seen : [['nothing found', null]];
  },

  answer(prediction, spec, least) {
    const counts = new Map();
    for (const { number } of shown(prediction, spec, least)) counts.set(number, (counts.get(number) ?? 0) + 1);
    const told = [...counts].map(([number, count]) => `${count > 1 ? `${count} × ` : ''}${named(spec, number)}`);
    return told.join(', ') || 'nothing found';
  },

  table(predictions, spec, least = SHOWN) {
    const [first, ...others] = predictions;
    const all = others.map(({ boxes, classes, scores }) =>
      scores.map((score, i) => ({ number: classes[i], score, box: boxes.slice(4 * i, 4 * i + 4), taken: false })));
    const partner = (of, one) => {
      const best = of.filter((other) => !other.taken && other.number === one.number && overlap(other.box, one.box) >= SAME)
        .sort((a, b) => overlap(b.box, one.box) - overlap(a.box, one.box))[0];
      if (best) best.taken = true;
      return best?.score ?? 0;
    };
    const rows = shown(first, spec, least).map((one) => ({ name: one.name, values: [one.score, ...all.map((of) => partner(of, one))] }));
    all.forEach((of, file) => {
      for (const one of of.filter(({ taken, score }) => !taken && score >= least)) {
        const values = predictions.map((_, i) => (i === file + 1 ? one.score : 0));
        rows.push({ name: `${named(spec, one.number)}, here alone`, values });
      }
    });
    return { caption: 'Scores of the boxes', head: 'class', percent: true, rows };
  },

  frames(prediction, spec, least) {
    return shown(prediction, spec, least).map(({ box, name, number, score }) =>
      ({ box, name, score, colour: COLOURS[number % COLOURS.length] }));
  },
};

import Backends
import HostResources
import TensorCore

extension OperationCase {
  static let movement: [OperationCase] =
    [HalfFormat.binary16, .bfloat16].flatMap { format in
      [
        OperationCase("widen \(format)", tolerance: 0) { work in
          let (x, y) = (work.halves(515, format, scale: 1e-3), work.blank(513))
          work.backend.perform(.widen(x + 2, into: y, count: 513))
          return [Written(operand: y, count: 513)]
        },
        OperationCase("rows of \(format)", tolerance: 0) { work in
          let (x, y) = (work.halves(7 * 37, format), work.blank(5 * 37))
          work.backend.perform(.gatherRows(x, at: [6, 0, 3, 3, 1], into: y, width: 37))
          return [Written(operand: y, count: 5 * 37)]
        },
      ]
    } + [
      OperationCase("copy rows", tolerance: 0) { work in
        let (x, y) = (work.numbers(20 * 31), work.numbers(20 * 29))
        work.backend.perform(
          .copyRows(x, stride: 31, into: y, intoStride: 29, rows: 20, width: 27))
        return [Written(operand: y, count: 20 * 29)]
      },
      OperationCase("rows", tolerance: 0) { work in
        let (x, y) = (work.numbers(7 * 37), work.blank(5 * 37))
        work.backend.perform(.gatherRows(x, at: [6, 0, 3, 3, 1], into: y, width: 37))
        return [Written(operand: y, count: 5 * 37)]
      },
      OperationCase("rows gradient", tolerance: 1e-6) { work in
        let (x, y) = (work.numbers(6 * 37), work.numbers(7 * 37))
        work.backend.perform(.scatterRows(x, at: [6, 0, 3, 3, 1, 3], to: y, width: 37))
        return [Written(operand: y, count: 7 * 37)]
      },
      OperationCase("transpose", tolerance: 0) { work in
        let (x, y) = (work.numbers(2 * 11 * 7 * 5), work.blank(2 * 11 * 7 * 5))
        work.backend.perform(
          .transpose(x, into: y, batch: 2, rows: 11, columns: 7, width: 5))
        return [Written(operand: y, count: 2 * 11 * 7 * 5)]
      },
      OperationCase("enlarge", tolerance: 1e-6) { work in
        let shape = ImageShape(batch: 2, height: 3, width: 5, channels: 9)
        let (x, dy) = (work.numbers(shape.count), work.numbers(4 * shape.count))
        let (y, dx) = (work.blank(4 * shape.count), work.blank(shape.count))
        work.backend.perform(.enlargeTwofold(x, into: y, shape))
        work.backend.perform(.enlargeTwofoldGradient(dy, into: dx, shape))
        return [
          Written(operand: y, count: 4 * shape.count), Written(operand: dx, count: shape.count),
        ]
      },
    ]
    + [(length: 5, places: 13), (16, 7)].map { length, places in
      OperationCase("resize \(length) to \(places)", tolerance: 1e-6) { work in
        let (rows, width) = (3, 10)
        let how = Resampling(
          length: length, rows: rows, width: width, taps: CubicTaps(from: length, to: places))
        let (x, dy) = (work.numbers(rows * length * width), work.numbers(rows * places * width))
        let (y, dx) = (work.blank(rows * places * width), work.blank(rows * length * width))
        work.backend.perform(.resample(x, into: y, how))
        work.backend.perform(.resampleGradient(dy, into: dx, how))
        return [
          Written(operand: y, count: rows * places * width),
          Written(operand: dx, count: rows * length * width),
        ]
      }
    }
}

import Backends
import HostResources
import TensorCore

extension OperationCase {
  static let movement: [OperationCase] =
    [HalfFormat.binary16, .bfloat16].flatMap { format in
      [
        OperationCase("widen \(format)", tolerance: 0, halfFormats: []) { work in
          let (x, y) = (work.halves(515, format, scale: 1e-3), work.blank(513))
          work.backend.perform(.convert(x + 2, into: y, count: 513))
          return [Written(operand: y, count: 513)]
        },
        OperationCase("rows of \(format)", tolerance: 0) { work in
          let (x, y) = (work.halves(7 * 37, format), work.blankActivations(5 * 37))
          work.backend.perform(.gatherRows(x, at: [6, 0, 3, 3, 1], into: y, width: 37))
          return [Written(operand: y, count: 5 * 37)]
        },
      ]
    } + [
      OperationCase("conversion", tolerance: 0) { work in
        let (x, y) = (work.numbers(515), work.blankActivations(513))
        let (z, back) = (work.activations(515), work.blank(513))
        work.backend.perform(.convert(x + 2, into: y, count: 513))
        work.backend.perform(.convert(z + 2, into: back, count: 513))
        return [Written(operand: y, count: 513), Written(operand: back, count: 513)]
      },
      OperationCase("copy rows", tolerance: 0) { work in
        let (x, y) = (work.activations(20 * 31), work.activations(20 * 29))
        work.backend.perform(
          .copyRows(x, stride: 31, into: y, intoStride: 29, rows: 20, width: 27))
        return [Written(operand: y, count: 20 * 29)]
      },
      OperationCase("rows of activations", tolerance: 0) { work in
        let (x, y) = (work.activations(7 * 37), work.blankActivations(5 * 37))
        work.backend.perform(.gatherRows(x, at: [6, 0, 3, 3, 1], into: y, width: 37))
        return [Written(operand: y, count: 5 * 37)]
      },
      OperationCase("rows gradient", tolerance: 1e-6) { work in
        // Of an activation, and of weights.
        let (x, sums) = (
          work.activations(6 * 37), [work.activations(7 * 37), work.numbers(7 * 37)]
        )
        return sums.map { y in
          work.backend.perform(.scatterRows(x, at: [6, 0, 3, 3, 1, 3], to: y, width: 37))
          return Written(operand: y, count: 7 * 37)
        }
      },
      OperationCase("rows of single precision", tolerance: 0) { work in
        let (x, y) = (work.numbers(7 * 37), work.blankActivations(5 * 37))
        work.backend.perform(.gatherRows(x, at: [6, 0, 3, 3, 1], into: y, width: 37))
        return [Written(operand: y, count: 5 * 37)]
      },
      OperationCase("transpose", tolerance: 0) { work in
        let (x, y) = (work.activations(2 * 11 * 7 * 5), work.blankActivations(2 * 11 * 7 * 5))
        work.backend.perform(
          .transpose(x, into: y, batch: 2, rows: 11, columns: 7, width: 5))
        return [Written(operand: y, count: 2 * 11 * 7 * 5)]
      },
      OperationCase("upsample", tolerance: 1e-6) { work in
        let shape = ImageShape(batch: 2, height: 3, width: 5, channels: 9)
        let (x, dy) = (work.activations(shape.count), work.activations(4 * shape.count))
        let (y, dx) = (work.blankActivations(4 * shape.count), work.blankActivations(shape.count))
        work.backend.perform(.upsampleNearest(x, into: y, shape))
        work.backend.perform(.upsampleNearestGradient(dy, into: dx, shape))
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
        let (x, dy) = (
          work.activations(rows * length * width), work.activations(rows * places * width)
        )
        let (y, dx) = (
          work.blankActivations(rows * places * width), work.blankActivations(rows * length * width)
        )
        work.backend.perform(.resample(x, into: y, how))
        work.backend.perform(.resampleGradient(dy, into: dx, how))
        return [
          Written(operand: y, count: rows * places * width),
          Written(operand: dx, count: rows * length * width),
        ]
      }
    }
}

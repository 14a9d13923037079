import Backends
import TensorCore

extension OperationCase {
  static let rows: [OperationCase] =
    [1, 255, 4097, 9001].flatMap { count in
      [
        OperationCase("sum of squares of \(count)") { work in
          let (x, y) = (work.activations(count), work.blank(1))
          let sum = Float(work.backend.squareSum(x, count: count))
          work.backend.write(y, count: 1) { $0[0] = sum }
          return [Written(operand: y, count: 1)]
        },
        OperationCase("first of \(count) that is not finite", tolerance: 0) { work in
          let (x, y) = (work.activations(count), work.blank(3))
          var places = [work.backend.firstNonFinite(x, count: count)]
          for place in [count - 1, count / 2] {
            work.backend.perform(
              .fill(x + place, count: 1, value: place == count / 2 ? .nan : .infinity))
            places.append(work.backend.firstNonFinite(x, count: count))
          }
          work.backend.write(y, count: 3) { buffer in
            for (index, place) in places.enumerated() { buffer[index] = Float(place ?? -1) }
          }
          return [Written(operand: y, count: 3)]
        },
      ]
    }
    + [1, 4097].map { count in
      OperationCase("largest magnitude of \(count)", tolerance: 0) { work in
        let (x, y) = (work.activations(count), work.blank(1))
        let largest = work.backend.largestMagnitude(x, count: count)
        work.backend.write(y, count: 1) { $0[0] = largest }
        return [Written(operand: y, count: 1)]
      }
    }
    + [1, 255, 4097, 9001].map { count in
      OperationCase("sum of \(count)") { work in
        let (x, y) = (work.activations(count, offset: 0.1), work.blank(1))
        work.backend.perform(.sum(x, count: count, into: y))
        return [Written(operand: y, count: 1)]
      }
    }
    + [
      Broadcast(outer: 1, repeats: 1000, inner: 33), Broadcast(outer: 3, repeats: 257, inner: 5),
      Broadcast(outer: 1, repeats: 5000, inner: 1), Broadcast(outer: 9, repeats: 300, inner: 1),
      Broadcast(outer: 2, repeats: 1, inner: 3),
    ].map { broadcast in
      OperationCase("sum of repeats \(broadcast.label)") { work in
        let x = work.activations(broadcast.count, offset: 0.1)
        // The gradient of a parameter, or of an activation.
        let count = broadcast.outer * broadcast.inner
        let y = broadcast.outer == 1 ? work.blank(count) : work.blankActivations(count)
        work.backend.perform(.sumRepeats(x, into: y, broadcast))
        return [Written(operand: y, count: broadcast.outer * broadcast.inner)]
      }
    }
    + [(5, 3), (7, 300)].flatMap { rows, width in
      [
        OperationCase("vector lengths \(rows) x \(width)", roundings: 3) { work in
          let count = rows * width
          let (x, dy) = (work.activations(count), work.activations(count))
          let (y, dx) = (work.blankActivations(count), work.blankActivations(count))
          work.backend.perform(.normalizeLengths(x, into: y, rows: rows, width: width))
          work.backend.perform(
            .normalizeLengthsGradient(
              NormalizedLengthsGradient(
                input: x, output: y, outputGradient: dy, into: dx, rows: rows, width: width)))
          return [Written(operand: y, count: count), Written(operand: dx, count: count)]
        },
        OperationCase("log softmax \(rows) x \(width)", roundings: 3) { work in
          let count = rows * width
          let (x, dy) = (work.activations(count, scale: 20), work.activations(count))
          let (y, dx) = (work.blankActivations(count), work.blankActivations(count))
          work.backend.perform(.logSoftmax(x, into: y, rows: rows, width: width))
          work.backend.perform(
            .logSoftmaxGradient(output: y, dy, into: dx, rows: rows, width: width))
          return [Written(operand: y, count: count), Written(operand: dx, count: count)]
        },
      ]
    }

  static let normalization: [OperationCase] =
    [(rows: 3, width: 40), (70, 300)].map { rows, width in
      OperationCase("layer norm \(rows) x \(width)", tolerance: 3e-5) { work in
        let count = rows * width
        let (x, dy) = (work.activations(count, offset: 5), work.activations(count))
        let (gamma, beta) = (work.numbers(width), work.numbers(width))
        let (y, dx) = (work.blankActivations(count), work.blankActivations(count))
        let statistics = work.blank(2 * rows)
        let (dGamma, dBeta) = (work.blank(width), work.blank(width))
        work.backend.perform(
          .normalizeRows(
            RowNormalization(
              x, gamma: gamma, beta: beta, into: y, statistics: statistics, epsilon: 1e-5,
              rows: rows, width: width)))
        work.backend.perform(
          .normalizeRowsGradient(
            RowNormalizationGradient(
              x, dy, gamma: gamma, statistics: statistics, into: dx,
              parameterGradients: ParameterGradients(gamma: dGamma, beta: dBeta), rows: rows,
              width: width)))
        return [
          Written(operand: y, count: count), Written(operand: statistics, count: 2 * rows),
          Written(operand: dx, count: count), Written(operand: dGamma, count: width),
          Written(operand: dBeta, count: width),
        ]
      }
    }
    + [
      GroupShape(batch: 2, positions: 77, channels: 48, groups: 16),
      GroupShape(batch: 1, positions: 1100, channels: 12, groups: 4),
      GroupShape(batch: 3, positions: 5, channels: 30, groups: 1),
    ].flatMap { shape in
      [false, true].map { appliesSiLU in
        OperationCase(
          "group norm \(shape.label)\(appliesSiLU ? ", SiLU" : "")", tolerance: 3e-5
        ) { groupNormalization($0, shape, appliesSiLU: appliesSiLU) }
      }
    }

  private static func groupNormalization(
    _ work: CaseWorkspace, _ shape: GroupShape, appliesSiLU: Bool
  ) -> [Written] {
    let count = shape.batch * shape.positions * shape.channels
    let (x, dy) = (work.activations(count, offset: 3), work.activations(count))
    let (gamma, beta) = (work.numbers(shape.channels), work.numbers(shape.channels))
    let statisticsCount = 2 * shape.batch * shape.groups
    let (y, dx) = (work.blankActivations(count), work.blankActivations(count))
    let statistics = work.blank(statisticsCount)
    let (dGamma, dBeta) = (work.blank(shape.channels), work.blank(shape.channels))
    work.backend.perform(
      .normalizeGroups(
        GroupNormalization(
          x, gamma: gamma, beta: beta, into: y, statistics: statistics, epsilon: 1e-5,
          appliesSiLU: appliesSiLU, shape)))
    work.backend.perform(
      .normalizeGroupsGradient(
        GroupNormalizationGradient(
          x, dy, gamma: gamma, beta: beta, statistics: statistics, into: dx,
          parameterGradients: ParameterGradients(gamma: dGamma, beta: dBeta),
          appliesSiLU: appliesSiLU, shape)))
    return [
      Written(operand: y, count: count), Written(operand: statistics, count: statisticsCount),
      Written(operand: dx, count: count), Written(operand: dGamma, count: shape.channels),
      Written(operand: dBeta, count: shape.channels),
    ]
  }
}

extension GroupShape {
  fileprivate var label: String { "\(batch) x \(positions) x \(channels) in \(groups)" }
}

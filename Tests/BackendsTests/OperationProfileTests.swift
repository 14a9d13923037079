import Backends
import TensorCore
import Testing

struct OperationProfileTests {
  private let backend = HostBackend.shared

  private func zeros(_ count: Int) -> Operand {
    let operand = Operand(Storage(count: count, on: backend))
    backend.perform(.fill(operand, count: count, value: 0))
    return operand
  }

  private func add(_ count: Int) {
    let a = zeros(count)
    backend.perform(
      .combine(.add, a, a, into: a, Broadcast(outer: count, repeats: 1, inner: 1)))
  }

  private func multiply(_ size: Int) {
    let factor = MatrixOperand(zeros(size * size), stride: size)
    backend.perform(
      .multiply(
        MatrixProduct(
          factor, factor, into: zeros(size * size), rows: size, columns: size, inner: size)))
  }

  @Test("a profile adds up what runs inside it, by name and size")
  func sums() throws {
    let profile = OperationProfile()
    add(10)
    profile.record {
      add(10)
      add(20)
      multiply(3)
      multiply(5)
      multiply(5)
    }
    add(10)
    let costs = profile.costs
    let product = try #require(costs.first { $0.key.size == "5 x 5 x 5" }).value
    #expect(product.calls == 2 && product.flop == 2 * 2 * 125 && product.seconds > 0)
    let sum = try #require(costs.first { $0.key.name == "elementwise" }).value
    #expect(sum.calls == 2 && sum.byteCount == 4 * 3 * 30)
  }
}

import Autograd
import TensorCore
import Testing

@Suite("Sums of gradients")
struct GradientSumTests {
  @Test("gradients are added to what there is; a leaf without any keeps its sum")
  func sums() {
    let leaves = (0..<3).map { Tensor([Float($0) + 1, 2], shape: [2]).trainable() }
    let earlier: [Tensor?] = [Tensor([10, 20], shape: [2]), nil, Tensor([5, 6], shape: [2])]
    var sums = earlier
    // d/da = b + 2a, d/db = a
    let loss = (leaves[0] * leaves[1]).sum() + leaves[0].mapped(by: .square).sum()
    addGradients(of: loss, for: leaves, to: &sums)
    #expect(sums.map { $0?.values } == [[14, 26], [1, 2], [5, 6]])
    #expect(earlier[0]?.values == [10, 20])
  }

  @Test("what depends on no leaf adds nothing")
  func constant() {
    var sums: [Tensor?] = [Tensor([1], shape: [1])]
    addGradients(
      of: Tensor([2], shape: [1]), for: [Tensor([3], shape: [1]).trainable()], to: &sums)
    #expect(sums[0]?.values == [1])
  }
}

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

  @Test("the terms of a sum, added one by one, are its bits")
  func terms() {
    let leaves = [Tensor([1e-3, 3], shape: [2]), Tensor([1e6, 7], shape: [2])].map {
      $0.trainable()
    }
    // The first leaf is used twice, and so has two terms.
    func loss() -> Tensor {
      (leaves[0] * leaves[1]).sum() + leaves[0].mapped(by: .square).sum().scaled(by: 0.1)
    }
    let earlier = [Tensor([0.3, -0.7], shape: [2]), Tensor([0.1, 0.9], shape: [2])]
    var sums: [Tensor?] = earlier
    addGradients(of: loss(), for: leaves, to: &sums)
    let terms = gradientTerms(of: loss(), for: leaves + [Tensor([1], shape: [1]).trainable()])
    #expect(terms.map(\.count) == [2, 1, 0])
    for index in leaves.indices {
      var sum: Tensor? = earlier[index]
      for term in terms[index] { addGradient(term, to: &sum) }
      #expect(sum?.values == sums[index]?.values)
    }
  }

  @Test("what depends on no leaf adds nothing")
  func constant() {
    var sums: [Tensor?] = [Tensor([1], shape: [1])]
    addGradients(
      of: Tensor([2], shape: [1]), for: [Tensor([3], shape: [1]).trainable()], to: &sums)
    #expect(sums[0]?.values == [1])
  }
}

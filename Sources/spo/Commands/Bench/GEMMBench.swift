import Autograd
import COpenBLAS
import HostResources

/// The processor's peak: one large matrix product by OpenBLAS.
enum GEMMBench {
  /// Each thread computes its own rows.
  static func square() -> BenchWork {
    let side = 2048
    let a = ModelBench.normal([side, side], seed: 1)
    let b = ModelBench.normal([side, side], seed: 2)
    let size = blasint(side)
    return BenchWork(
      size: "\(side) x \(side) x \(side)", flop: 2 * side * side * side, inputs: ["a": a, "b": b]
    ) {
      let product = a.withValues { a in
        b.withValues { b in
          Tensor(shape: [side, side]) { c in
            parallelRanges(side, grain: 1) { rows in
              let start = rows.lowerBound * side
              cblas_sgemm(
                CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows.count), size, size, 1,
                a.baseAddress?.advanced(by: start), size, b.baseAddress, size, 0,
                c.baseAddress?.advanced(by: start), size)
            }
          }
        }
      }
      return ["y": product]
    }
  }
}

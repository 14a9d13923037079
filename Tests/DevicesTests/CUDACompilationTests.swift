import Devices
import Testing

struct CUDACompilationTests {
  /// Where NVIDIA's compiler is, as after `make check-cuda`; no GPU is needed.
  @Test(
    "every kernel compiles for CUDA", .enabled(if: CUDACompilation.isHere),
    arguments: ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"])
  func compilation(_ target: String) throws {
    #expect(try CUDACompilation.compileAll(for: target) == (target == "sm_75" ? 38 : 72))
  }

  @Test("a compiler is told from others of its version", .enabled(if: CUDACompilation.isHere))
  func digest() throws {
    #expect(try CUDACompilation.digest()?.wholeMatch(of: /[0-9a-f]{8}/) != nil)
  }
}

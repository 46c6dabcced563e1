package androidx.appcompat.app

import android.content.ContentResolver
import android.content.Context
import android.content.res.AssetManager
import android.os.Bundle
import android.view.View
import androidx.activity.result.ActivityResultCallback
import androidx.activity.result.ActivityResultLauncher
import androidx.activity.result.contract.ActivityResultContract
import androidx.lifecycle.LifecycleOwner

abstract class AppCompatActivity : Context(), LifecycleOwner {
    override val assets: AssetManager get() = TODO()
    override val applicationContext: Context get() = TODO()
    override val contentResolver: ContentResolver get() = TODO()

    protected open fun onCreate(savedInstanceState: Bundle?): Unit = TODO()

    fun <I, O> registerForActivityResult(
        contract: ActivityResultContract<I, O>, callback: ActivityResultCallback<O>,
    ): ActivityResultLauncher<I> = TODO()

    fun setContentView(view: View?): Unit = TODO()

    fun runOnUiThread(action: Runnable): Unit = TODO()
}

package android.widget

import android.content.Context
import android.view.View

open class TextView(context: Context) : View(context) {
    var text: CharSequence
        get() = TODO()
        set(value) = TODO()
}

open class Button(context: Context) : TextView(context)

class LinearLayout(context: Context) : View(context) {
    var orientation: Int
        get() = TODO()
        set(value) = TODO()

    fun addView(child: View): Unit = TODO()

    companion object {
        const val VERTICAL = 1
    }
}
